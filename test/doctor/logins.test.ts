import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { MOST_NEEDED, neededRights } from '../../src/doctor/needed-rights.ts'
import { migrated } from '../runs/support.ts'
import { ensured } from '../database/postgres/partition-roles.ts'
import { command } from '../support/command.ts'
import { ENGINES } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { GRANTED, login } from './logins.ts'
import { diagnosed, faultsIn, told } from './support.ts'

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

    it('as the purge role of a partitioned table: nothing is wrong with the functions, and without the right to call them it is said', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      await using purge = await login(outside, new Map([...GRANTED, ['audit_logs_default', ['SELECT', 'DELETE']]]))
      for (const statement of ensured('postgres', purge.name)) await outside.sql(statement)
      const asked = { plan: { migrationsEnabled: false } }
      assert.deepEqual(faultsIn(await diagnosed(purge.url, asked)), [])
      await outside.sql(`REVOKE EXECUTE ON FUNCTION maintenance_add_partition(text, text, text, text) FROM ${purge.name}`)
      const [fault, ...more] = faultsIn(await diagnosed(purge.url, asked))
      assert.match(fault!, /^partitions-hindered: .*may not call public\.maintenance_add_partition .* Run: GRANT EXECUTE/)
      assert.deepEqual(more, [])
    })

    it('with a table of the worker that belongs to a stranger, nothing is read, and it says whose it is and what to run', async () => {
      await using fixture = await migrated(engine)
      await using other = await login(fixture.outside, new Map())
      await using purge = await login(fixture.outside, GRANTED)
      await fixture.outside.sql(`ALTER TABLE maintenance_receipts OWNER TO ${other.name}`)
      const { code, stdout } = await command(['doctor', '--json'], { env: { DATABASE_URL: purge.url, MIGRATIONS_ENABLED: 'false' } })
      assert.equal(code, 3, stdout)
      assert.match(
        stdout,
        new RegExp(`maintenance_receipts is a table of role ${other.name}, .*Nothing was read from it .* run: ALTER TABLE`),
      )
      assert.match(stdout, /"unseen":\s*\[\s*"all that only the database knows/)
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
