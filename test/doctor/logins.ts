import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { CHECKOUT } from '../shipping/checkout.ts'
import type { TestDatabase } from '../support/engines.ts'

const SCRIPT = await readFile(`${CHECKOUT}deploy/postgres/purge-role.sql`, 'utf8')

/** `audit_logs`, `SELECT, DELETE` of each line of the script. */
export const GRANTED = new Map(
  [...SCRIPT.matchAll(/^ {4}\('(\w+)', '([A-Z, ]+)'\)/gm)].map(([, table, rights]) => [table!, rights!.split(', ')]),
)

export interface Login extends AsyncDisposable {
  readonly name: string
  readonly url: string
}

export async function login(outside: TestDatabase, rights: ReadonlyMap<string, readonly string[]>): Promise<Login> {
  const name = `login_${randomBytes(4).toString('hex')}`
  await outside.sql(`CREATE ROLE ${name} LOGIN`)
  for (const [table, each] of rights) await outside.sql(`GRANT ${each.join(', ')} ON ${table} TO ${name}`)
  return {
    name,
    url: Object.assign(new URL(outside.url), { username: name }).href,
    async [Symbol.asyncDispose]() {
      await outside.sql(`DROP OWNED BY ${name} CASCADE`)
      await outside.sql(`DROP ROLE ${name}`)
    },
  }
}
