import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { MOST_NEEDED, neededRights } from '../../src/doctor/needed-rights.ts'
import { CHECKOUT } from '../shipping/checkout.ts'
import { migrated } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { diagnosed, faultsIn, told } from './support.ts'

const SCRIPT = await readFile(`${CHECKOUT}deploy/postgres/purge-role.sql`, 'utf8')

/** `audit_logs`, `SELECT, DELETE` of each line of the script. */
const GRANTED = new Map([...SCRIPT.matchAll(/^ {4}\('(\w+)', '([A-Z, ]+)'\)/gm)].map(([, table, rights]) => [table!, rights!.split(', ')]))

it('doctor takes for needed what the shipped script grants, no less and no more', () => {
  const tables = JOBS.map(({ table }) => table)
  const expected = new Map([...GRANTED].filter(([table]) => !table.endsWith('_history')))
  assert.ok(expected.size > 10)
  assert.deepEqual(
    new Map(
      [...Object.entries(neededRights(true)), ...tables.map((table) => [table, ['SELECT', 'DELETE']] as const)].map(([table, rights]) => [
        table,
        [...rights].toSorted(),
      ]),
    ),
    new Map([...expected].map(([table, rights]) => [table, rights.toSorted()])),
  )
  assert.deepEqual(new Set(Object.keys(MOST_NEEDED)), new Set(expected.keys()))
})

interface Login extends AsyncDisposable {
  readonly name: string
  readonly url: string
}

async function login(outside: TestDatabase, rights: ReadonlyMap<string, readonly string[]>): Promise<Login> {
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

for (const engine of ENGINES.filter(({ name }) => name !== 'sqlite'))
  describe(`doctor by login on ${engine.name}`, () => {
    it('as the purge role: nothing is wrong, and the transactions of others are said not to be seen', async () => {
      await using fixture = await migrated(engine)
      await using purge = await login(fixture.outside, GRANTED)
      const diagnosis = await diagnosed(purge.url, { plan: { migrationsEnabled: false } })
      assert.deepEqual(told(diagnosis), ['advice server-settings', 'advice server-settings'], JSON.stringify(diagnosis.findings))
      assert.match(
        diagnosis.unseen.join('\n'),
        new RegExp(`^how long transactions of other roles have been open: role ${purge.name} may not see it`, 'm'),
      )
      assert.match(diagnosis.unseen.join('\n'), /^the free disk of the server/m)
    })

    it('as a login that is to migrate and cannot: why not, for the schema and each table of another owner', async () => {
      await using outside = await engine.fresh()
      await outside.sql(`CREATE TABLE sessions (id BIGINT PRIMARY KEY, session_token TEXT UNIQUE, user_identifier TEXT, user_data TEXT, ip_address TEXT, user_agent TEXT,
        expires_at TIMESTAMP, created_at TIMESTAMP, last_activity_at TIMESTAMP)`)
      await outside.sql('REVOKE CREATE ON SCHEMA public FROM PUBLIC')
      await using stranger = await login(outside, new Map([['sessions', ['SELECT', 'DELETE']]]))
      const faults = faultsIn(await diagnosed(stranger.url))
      assert.deepEqual(
        faults.map((each) => each.replace(/^rights-missing: migrations are pending, and this login, which is to apply them, /, '')),
        ['may not create in the schema public', 'does not own public.sessions'],
      )
      assert.deepEqual(faultsIn(await diagnosed(stranger.url, { plan: { migrationsEnabled: false } })), [])
    })

    it('as a superuser the transactions of others are seen', async () => {
      await using fixture = await migrated(engine)
      const { unseen } = await diagnosed(fixture.outside.url)
      assert.doesNotMatch(unseen.join('\n'), /transactions/)
    })

    it('as a stranger: rights are missing, each named, and what could not be read is said', async () => {
      await using fixture = await migrated(engine)
      await using stranger = await login(fixture.outside, new Map())
      const diagnosis = await diagnosed(stranger.url, { plan: { migrationsEnabled: false } })
      const faults = faultsIn(diagnosis).join('\n')
      for (const table of Object.keys(neededRights(false))) assert.match(faults, new RegExp(`rights-missing: .*"${table}"`))
      for (const { table } of JOBS) assert.match(faults, new RegExp(`may not purge public.${table}`))
      const unseen = diagnosis.unseen.join('\n')
      for (const what of [
        /^which migrations were applied, .*maintenance_migrations/m,
        /^who holds leases: /m,
        /^whether a run began later than now: /m,
        /^what the archive holds: /m,
      ])
        assert.match(unseen, what)
      // What every role may see in the catalogue is judged all the same.
      assert.ok(!told(diagnosis).some((each) => each.includes('schema')))
      await fixture.outside.sql('DROP INDEX idx_audit_logs_action')
      assert.ok(told(await diagnosed(stranger.url)).includes('fault schema-index'))
    })

    it('as a stranger to the schema, too: nothing is passed over', async () => {
      await using fixture = await migrated(engine)
      await using stranger = await login(fixture.outside, new Map())
      await fixture.outside.sql('REVOKE USAGE ON SCHEMA public FROM PUBLIC')
      const diagnosis = await diagnosed(stranger.url, { plan: { migrationsEnabled: false } })
      assert.match(diagnosis.unseen.join('\n'), /^the rights of this login: /m)
      assert.ok(faultsIn(diagnosis).some((each) => each.startsWith('job-hindered')))
    })
  })
