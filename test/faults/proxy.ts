import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** What the link can do to those who use it. */
export type LinkFault =
  /** Both ends at once. */
  | { readonly kind: 'cut' }
  /** The server's next answer, or one after so many more, is let through as far as this part of it, then both ends are cut. */
  | { readonly kind: 'half'; readonly part: number; readonly after?: number }
  /** The server's next answer to COMMIT never arrives: the work is done, and the worker cannot know. Seen on plain connections only. */
  | { readonly kind: 'commit-unanswered'; readonly after?: number }
  /** For so long the server is not there: connections are cut, and new ones are closed at once. */
  | { readonly kind: 'away'; readonly ms: number }
  /** Nothing passes for so long, not even that an end was closed; then everything that was held back does. */
  | { readonly kind: 'stall'; readonly ms: number }

interface Place {
  readonly host: string
  readonly port: number
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** The tag of CommandComplete, as it ends an answer to COMMIT. */
const COMMITTED = Buffer.from('COMMIT\0')

/** A TCP link to a server that can be made to fail. */
export class Proxy implements AsyncDisposable {
  readonly #listener: Server
  #target: Place
  readonly #pairs = new Set<Pair>()
  #onAnswer: ((pair: Pair, chunk: Buffer) => boolean) | undefined
  /** What is done when a stall ends; `undefined`: there is none. */
  #held: (() => void)[] | undefined
  #away = false
  /** The server that has vanished. */
  #vanished: Place | undefined
  readonly #abandoned = new Set<Socket>()

  private constructor(listener: Server, url: URL) {
    this.#listener = listener
    this.#target = placeOf(url)
    listener.on('connection', (client) => this.#join(client))
  }

  static async open(url: string): Promise<Proxy> {
    const listener = createServer()
    await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve))
    return new Proxy(listener, new URL(url))
  }

  /** The same database by way of this link. */
  through(url: string): URL {
    const { port } = this.#listener.address() as AddressInfo
    return Object.assign(new URL(url), { host: `127.0.0.1:${port}` })
  }

  /** From now on it leads to this server; connections to the one before are cut, as a switchover does, unless they are to be kept. */
  leadTo(url: string, { keep = false } = {}): void {
    this.#target = placeOf(new URL(url))
    if (!keep) for (const pair of this.#pairs) cut(pair)
  }

  /** Nothing passes on the connections of now, as if the machine behind it had vanished; new ones are neither answered nor refused, until it leads elsewhere. */
  vanish(): void {
    this.#vanished = this.#target
    for (const { client, server } of this.#pairs)
      for (const end of [client, server])
        end
          .removeAllListeners()
          .pause()
          .on('error', () => {})
  }

  /** Resolves when it has taken place; a stall, when it is over. */
  async inflict(fault: LinkFault): Promise<void> {
    switch (fault.kind) {
      case 'cut':
        // With nobody on the line it is the next answer that is not let through.
        if (this.#pairs.size === 0) return this.#atAnswer(() => true, 0, 0)
        for (const pair of this.#pairs) cut(pair)
        return
      case 'half':
        return this.#atAnswer(() => true, fault.part, fault.after)
      case 'commit-unanswered':
        return this.#atAnswer((chunk) => chunk.includes(COMMITTED), 0, fault.after)
      case 'away':
        this.#away = true
        for (const pair of this.#pairs) cut(pair)
        await new Promise((resolve) => setTimeout(resolve, fault.ms))
        this.#away = false
        return
      case 'stall':
        this.#held = []
        await new Promise((resolve) => setTimeout(resolve, fault.ms))
        this.#release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release()
    for (const pair of this.#pairs) cut(pair)
    for (const client of this.#abandoned) client.destroy()
    await new Promise((resolve) => this.#listener.close(resolve))
  }

  #atAnswer(fits: (chunk: Buffer) => boolean, part: number, after = 0): Promise<void> {
    let passed = 0
    return new Promise((resolve) => {
      this.#onAnswer = (pair, chunk) => {
        if (!fits(chunk) || (passed += 1) <= after) return false
        this.#onAnswer = undefined
        pair.client.write(chunk.subarray(0, Math.floor(part * chunk.length)), () => cut(pair))
        pair.server.destroy()
        resolve()
        return true
      }
    })
  }

  #join(client: Socket): void {
    if (this.#away) return void client.destroy()
    if (this.#vanished === this.#target) return void this.#abandoned.add(client.on('error', () => {}))
    const pair: Pair = { client, server: connect(this.#target) }
    this.#pairs.add(pair)
    const { server } = pair
    client.on('data', (chunk) => this.#later(() => void server.write(chunk)))
    server.on('data', (chunk: Buffer) => {
      if (this.#onAnswer?.(pair, chunk) !== true) this.#later(() => void client.write(chunk))
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {})
      one.on('close', () =>
        this.#later(() => {
          other.destroySoon()
          this.#pairs.delete(pair)
        }),
      )
    }
  }

  #later(work: () => void): void {
    if (this.#held === undefined) work()
    else this.#held.push(work)
  }

  #release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const work of held) work()
  }
}

function placeOf(url: URL): Place {
  return { host: url.hostname, port: Number(url.port) }
}

function cut({ client, server }: Pair): void {
  client.destroy()
  server.destroy()
}
