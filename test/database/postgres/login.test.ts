import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import { opened } from './fixture.ts'

const PASSWORD = 'op3n-Sesame!'

/** A message by which a server lets somebody in, or asks for a proof. */
function authentication(code: number, more = ''): Buffer {
  const message = Buffer.alloc(9)
  message.write('R')
  message.writeInt32BE(8 + more.length, 1)
  message.writeInt32BE(code, 5)
  return Buffer.concat([message, Buffer.from(more)])
}

const OK = authentication(0)
const CLEAR_TEXT = authentication(3)
const MD5 = authentication(5, 'salt')
const SCRAM = authentication(10, 'SCRAM-SHA-256\0\0')
const READY = Buffer.from([...Buffer.from('Z'), 0, 0, 0, 5, ...Buffer.from('I')])

const WRONG = Buffer.concat([Buffer.from('E\0\0\0\x12'), Buffer.from('C28P01\0Mwrong\0\0')])

interface Hostile extends AsyncDisposable {
  readonly url: string
  /** All that clients have sent. */
  received(): string
}

/** Something that pretends to be PostgreSQL: it answers each packet of a client with the next of these. */
async function hostile(...answers: readonly Buffer[]): Promise<Hostile> {
  const sockets: Socket[] = []
  let received = ''
  const server = createServer((socket) => {
    sockets.push(socket)
    const left = [...answers]
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        received += data.toString('latin1')
        const next = left.shift()
        if (next !== undefined) socket.write(next)
      })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    url: `postgresql://u:${encodeURIComponent(PASSWORD)}@127.0.0.1:${address.port}/db?sslmode=disable&connect_timeout=2`,
    received: () => received,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

/** The message of the refusal. */
async function refusal(url: string): Promise<string> {
  try {
    await using _ = await opened(url, { connectTimeoutMs: 100 })
  } catch (error) {
    assert.ok(error instanceof DatabaseError)
    assert.equal(error.kind, 'refused', error.message)
    assert.doesNotMatch(error.message, new RegExp(PASSWORD))
    return error.message
  }
  return 'connected'
}

describe('a server that is not the one it should be', () => {
  test('gets the password in clear text only where that will do', async () => {
    await using server = await hostile(CLEAR_TEXT, WRONG)
    assert.match(await refusal(`${server.url}&require_auth=scram-sha-256`), /wants authentication by password, and require_auth/)
    assert.doesNotMatch(server.received(), new RegExp(PASSWORD))
    assert.match(await refusal(server.url), /wrong \[28P01\]/)
    assert.match(server.received(), new RegExp(PASSWORD))
  })

  const TWISTS: readonly [how: string, answers: readonly Buffer[]][] = [
    ['after it has begun with SCRAM', [SCRAM, CLEAR_TEXT]],
    ['before it goes on with SCRAM', [Buffer.concat([CLEAR_TEXT, SCRAM])]],
    ['at the same time as SCRAM', [Buffer.concat([SCRAM, CLEAR_TEXT])]],
    ['between two challenges of SCRAM', [Buffer.concat([SCRAM, CLEAR_TEXT, SCRAM])]],
    ['hashed, after it has begun with SCRAM', [SCRAM, MD5]],
  ]
  for (const [how, answers] of TWISTS)
    test(`does not get the password ${how}`, async () => {
      await using server = await hostile(...answers)
      assert.match(await refusal(`${server.url}&require_auth=scram-sha-256`), /wants authentication by (password|md5), and require_auth/)
      assert.doesNotMatch(server.received(), new RegExp(`${PASSWORD}|md5[0-9a-f]{32}`))
    })

  test('is not believed before it has proved that it knows the password', async () => {
    await using server = await hostile(SCRAM, Buffer.concat([OK, READY]))
    for (const also of ['', '&require_auth=scram-sha-256'])
      assert.match(await refusal(server.url + also), /without proving that it knows the password/)
  })

  test('is not believed where somebody has to be asked for a password', async () => {
    await using server = await hostile(Buffer.concat([OK, READY]))
    assert.match(await refusal(`${server.url}&require_auth=!none`), /wants no authentication/)
    assert.match(await refusal(`${server.url}&channel_binding=require`), /channel_binding=require/)
  })
})
