import BetterSqlite3 from 'better-sqlite3'
import { Client } from 'pg'

/**
 * A process that writes a hundred rows a second, one each, as a gateway does, until its input ends. Arguments: the URL and the statement. Prints a line when
 * it has begun, and in the end one with the start of each write, how long it took, and what the database said to those it refused.
 */
const [url, statement] = process.argv.slice(2) as [string, string]
const EVERY_MS = 10

interface Connection {
  write(text: string): Promise<unknown>
  close(): Promise<void>
}

async function connected(): Promise<Connection> {
  if (url.startsWith('sqlite:///')) {
    const database = new BetterSqlite3(url.slice('sqlite:///'.length), { timeout: 5_000 })
    const insert = database.prepare(statement)
    return { write: (text) => Promise.resolve(insert.run(text)), close: () => Promise.resolve(void database.close()) }
  }
  const client = new Client({ connectionString: url })
  await client.connect()
  return { write: (text) => client.query({ name: 'insert', text: statement, values: [text] }), close: () => client.end() }
}

const connection = await connected()
const writes: [atMs: number, tookMs: number][] = []
const refusals: string[] = []
const over = new AbortController()
process.stdin.on('end', () => over.abort()).resume()
for (let number = 1, dueMs = performance.now(); !over.signal.aborted; number += 1) {
  const began = performance.now()
  const atMs = Date.now()
  try {
    await connection.write(`w${number}`)
    writes.push([atMs, performance.now() - began])
  } catch (error) {
    refusals.push(String(error))
  }
  if (number === 1) process.stdout.write('begun\n')
  // What came late is not made up for: each write that had to wait counts by itself.
  dueMs = Math.max(dueMs + EVERY_MS, performance.now())
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
}
await connection.close()
process.stdout.write(`${JSON.stringify({ writes, refusals })}\n`)
