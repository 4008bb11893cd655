import { connect, createServer, type AddressInfo } from 'node:net'

/** A TCP link to a PostgreSQL server that notes the text of every statement that a client sends over it. */
export interface RecordingLink extends AsyncDisposable {
  /** The same database by way of this link, without TLS. */
  through(url: string): string
  readonly statements: ReadonlySet<string>
  /** What the server has said besides its answers, in order. */
  readonly notices: readonly string[]
}

export async function recordingLink(url: string): Promise<RecordingLink> {
  const target = new URL(url)
  const statements = new Set<string>()
  const notices: string[] = []
  const listener = createServer((client) => {
    const server = connect(Number(target.port), target.hostname)
    const read = messageReader((text) => statements.add(text))
    client.on('data', (chunk) => (read(chunk), server.write(chunk)))
    const heard = noticeReader((text) => notices.push(text))
    server.on('data', (chunk) => (heard(chunk), client.write(chunk)))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const)
      one.on('close', () => other.destroy()).on('error', () => other.destroy())
  })
  await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve))
  return {
    through: (requested) => {
      const through = Object.assign(new URL(requested), { host: `127.0.0.1:${(listener.address() as AddressInfo).port}` })
      through.searchParams.set('sslmode', 'disable')
      return through.href
    },
    statements,
    notices,
    [Symbol.asyncDispose]: () => new Promise((resolve) => listener.close(() => resolve())),
  }
}

/** The first message of a client has no type; of the others `Q` and `P` hold a statement. */
function messageReader(statement: (text: string) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const head = started ? 1 : 0
      if (rest.length < head + 4) return
      const length = head + rest.readInt32BE(head)
      if (rest.length < length) return
      const [type, body] = [started ? String.fromCharCode(rest[0]!) : '', rest.subarray(head + 4, length)]
      // The body of P begins with the name of the prepared statement.
      const from = type === 'P' ? body.indexOf(0) + 1 : 0
      if (type === 'Q' || type === 'P') statement(body.subarray(from, body.indexOf(0, from)).toString('utf8'))
      started = true
      rest = rest.subarray(length)
    }
  }
}

/** A message is its type, its length and its fields, each a letter and a text; `M` is the one for people. */
function noticeReader(notice: (text: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 5 && rest.length > rest.readUInt32BE(1)) {
      const end = 1 + rest.readUInt32BE(1)
      const fields = rest.toString('utf8', 5, end).split('\0')
      if (rest[0] === 'N'.charCodeAt(0)) notice(fields.find((field) => field.startsWith('M'))?.slice(1) ?? '')
      rest = rest.subarray(end)
    }
  }
}
