import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { freshFolder, purged } from '../archive/support.ts'
import { ENGINES, type TestEngine } from '../support/engines.ts'
import { AUDIT_LOGS, auditLogs, count, migrated, run, SESSIONS, type Fixture } from './support.ts'

/** Nothing was deleted, and the message says all of this. */
function refused(result: RunResult, ...parts: RegExp[]): void {
  assert.equal(result.outcome, 'failed', String(result.error))
  assert.ok(result.error instanceof MaintenanceError && result.error.code === 'JOB_FAILED', String(result.error))
  assert.equal(result.deleted, 0)
  for (const part of [...parts, /Nothing was deleted/]) assert.match(result.error.message, part)
}

/** Two sessions of which one has expired, and the number of each. */
async function sessions({ outside }: Fixture, engine: TestEngine): Promise<{ expired: number; live: number }> {
  const [expired, live] = await outside.sql<{ id: number }>(
    `INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('old', 'u', ${engine.moment(-60)}), ('new', 'u', ${engine.moment(600)}) RETURNING id`,
  )
  return { expired: expired!.id, live: live!.id }
}

async function all({ outside }: Fixture, ...statements: string[]): Promise<void> {
  for (const statement of statements) await outside.sql(statement)
}

const KEYS = 'CREATE TABLE api_keys (id bigint PRIMARY KEY, session_id bigint'

for (const engine of ENGINES) {
  describe(`rows that foreign keys take along, on ${engine.name}`, () => {
    for (const [action, effect, left] of [
      ['CASCADE', 'deletes', 0],
      ['SET NULL', 'changes', 1],
      ['SET DEFAULT', 'changes', 1],
    ] as const)
      it(`ON DELETE ${action} into a table of the gateway's is refused, unless the settings name it`, async () => {
        await using fixture = await migrated(engine)
        const { database, outside } = fixture
        const { expired, live } = await sessions(fixture, engine)
        await all(
          fixture,
          'DROP TABLE api_keys',
          `${KEYS} DEFAULT ${live} REFERENCES sessions (id) ON DELETE ${action})`,
          `INSERT INTO api_keys VALUES (1, ${expired})`,
        )
        refused(
          await run(database),
          new RegExp(`sessions also ${effect} rows of .*api_keys`),
          /PURGE_SESSIONS_CASCADE=api_keys/,
          new RegExp(`ON DELETE ${action}`),
        )
        refused(await run(database, { cascade: ['tools'] }), /PURGE_SESSIONS_CASCADE=tools,api_keys/)
        assert.equal(await count(outside, 'sessions'), 2)
        const allowed = await run(database, { cascade: ['api_keys'] })
        assert.deepEqual([allowed.outcome, allowed.deleted, allowed.cascaded], ['succeeded', 1, 1], String(allowed.error))
        assert.equal(await count(outside, 'api_keys'), left)
      })

    for (const action of ['NO ACTION', 'RESTRICT'])
      it(`ON DELETE ${action} takes nothing along`, async () => {
        await using fixture = await migrated(engine)
        const { live } = await sessions(fixture, engine)
        await all(
          fixture,
          'DROP TABLE api_keys',
          `${KEYS} REFERENCES sessions (id) ON DELETE ${action})`,
          `INSERT INTO api_keys VALUES (1, ${live})`,
        )
        assert.deepEqual([(await run(fixture.database)).outcome, await count(fixture.outside, 'api_keys')], ['succeeded', 1])
      })

    it('a table that refers to itself is one of the gateway’s too: a row of tomorrow would go with its parent', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      const { expired } = await sessions(fixture, engine)
      await all(
        fixture,
        'ALTER TABLE sessions ADD COLUMN parent_id bigint REFERENCES sessions (id) ON DELETE CASCADE',
        `UPDATE sessions SET parent_id = ${expired} WHERE id <> ${expired}`,
      )
      refused(await run(database), /PURGE_SESSIONS_CASCADE=sessions/)
      assert.equal(await count(outside, 'sessions'), 2)
      const allowed = await run(database, { cascade: ['sessions'] })
      assert.deepEqual([allowed.outcome, allowed.deleted, allowed.cascaded], ['succeeded', 1, 1])
      assert.equal(await count(outside, 'sessions'), 0)
    })

    it('a cascade is followed through other tables, also where it only changes what others refer to', async () => {
      await using fixture = await migrated(engine)
      const { expired } = await sessions(fixture, engine)
      await all(
        fixture,
        'CREATE TABLE devices (id bigint PRIMARY KEY, session_id bigint UNIQUE REFERENCES sessions (id) ON DELETE CASCADE)',
        `INSERT INTO devices VALUES (1, ${expired})`,
        'DROP TABLE api_keys',
        'CREATE TABLE api_keys (id bigint PRIMARY KEY, device_id bigint REFERENCES devices (id) ON DELETE CASCADE)',
        'INSERT INTO api_keys VALUES (1, 1)',
      )
      refused(await run(fixture.database), /also deletes rows of .*api_keys, which refer to those of .*devices/)
      await all(
        fixture,
        'DROP TABLE api_keys',
        'DROP TABLE devices',
        'CREATE TABLE devices (id bigint PRIMARY KEY, session_id bigint UNIQUE REFERENCES sessions (id) ON DELETE SET NULL)',
        'CREATE TABLE api_keys (id bigint PRIMARY KEY, session_id bigint REFERENCES devices (session_id) ON UPDATE CASCADE)',
      )
      refused(await run(fixture.database), /also changes rows of .*api_keys, which refer to those of .*devices .*\(ON UPDATE CASCADE/)
    })

    it('a cascade into another table is one warning a start, and no refusal', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      const { expired } = await sessions(fixture, engine)
      await all(
        fixture,
        'CREATE TABLE devices (id bigint PRIMARY KEY, session_id bigint REFERENCES sessions (id) ON DELETE CASCADE)',
        `INSERT INTO devices VALUES (1, ${expired})`,
      )
      const warnings: string[] = []
      const context = { told: { warnings }, toldOnce: new Set<string>() }
      for (const gone of [1, 0]) {
        const { deleted, cascaded } = await run(database, {}, context)
        assert.deepEqual([deleted, cascaded], [gone, gone])
      }
      assert.equal(await count(outside, 'devices'), 0)
      assert.equal(warnings.length, 1, warnings.join('\n'))
      assert.match(warnings[0]!, /^deleting from .*sessions also deletes rows of .*devices, which refer to those \(ON DELETE CASCADE of/)
    })

    for (const action of ['CASCADE', 'SET NULL'])
      it(`with the archive, no setting allows ON DELETE ${action} of the archived table to itself`, async () => {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { database, outside } = fixture
        await auditLogs(outside, engine, 3, 100)
        await all(fixture, `ALTER TABLE audit_logs ADD COLUMN parent_id bigint REFERENCES audit_logs (id) ON DELETE ${action}`)
        const archive = { directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
        const result = await run(database, { job: AUDIT_LOGS, cascade: ['audit_logs'] }, { archive })
        refused(result, /rows of audit_logs are archived before they go/, /ARCHIVE_ENABLED=false/)
        assert.equal(await count(outside, 'audit_logs'), 3)
        const { deleted, cascaded } = await run(database, { job: AUDIT_LOGS, cascade: ['audit_logs'] })
        assert.deepEqual([deleted, cascaded], [3, 0])
      })

    it('with the archive, what goes along from another table is told to be in no file, and counted', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { database, outside } = fixture
      await auditLogs(outside, engine, 3, 100)
      await all(
        fixture,
        'CREATE TABLE audit_note (id bigint, audit_id bigint REFERENCES audit_logs (id) ON DELETE CASCADE)',
        'INSERT INTO audit_note SELECT id, id FROM audit_logs UNION ALL SELECT -id, id FROM audit_logs',
      )
      const warnings: string[] = []
      const { outcome, deleted, cascaded, archived } = await purged(database, folder.path, {}, { told: { warnings } })
      assert.deepEqual([outcome, deleted, cascaded, archived?.rows], ['succeeded', 3, 6, 3])
      assert.match(warnings.join(), /also deletes rows of .*audit_note, .*; they are in no file of the archive/)
    })

    it('with the archive, no setting allows another job to take archived rows along', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { database, outside } = fixture
      const archive = { directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
      await auditLogs(outside, engine, 3, 100)
      const { expired } = await sessions(fixture, engine)
      await all(
        fixture,
        'ALTER TABLE audit_logs ADD COLUMN session_id bigint REFERENCES sessions (id) ON DELETE CASCADE',
        `UPDATE audit_logs SET session_id = ${expired}`,
      )
      refused(
        await run(database, { job: SESSIONS, cascade: ['audit_logs'] }, { archive }),
        /rows of audit_logs are archived before they go/,
      )
      assert.equal((await run(database, { job: SESSIONS, cascade: ['audit_logs'] })).deleted, 1)
      assert.equal(await count(outside, 'audit_logs'), 0)
    })
  })
}
