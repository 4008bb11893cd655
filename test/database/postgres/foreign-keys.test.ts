import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Terms } from '../../../src/database/purging.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { inspected, runs } from './inspected.ts'

const TERMS: Terms = { cascade: [], setting: 'PURGE_SESSIONS_CASCADE', archived: [], keeping: [], matched: [] }

function sessions(url: string, terms = TERMS): Promise<string> {
  return inspected(url, { table: 'sessions', column: 'expires_at' }, terms)
}

const SESSIONS = 'CREATE TABLE sessions (id bigint PRIMARY KEY, expires_at timestamp)'

function filled(table: string): string {
  return `INSERT INTO ${table} (id) SELECT i FROM generate_series(1, 40000) AS i`
}

for (const major of POSTGRES_MAJORS) {
  describe(`foreign keys to a purged table on PostgreSQL ${major}`, () => {
    it('a table of which a hold or a rule keeps rows is never taken along, whatever the settings allow and whether its rows go or change', async () => {
      for (const action of ['CASCADE', 'SET NULL']) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`${SESSIONS}; CREATE TABLE audit_logs (id int, session_id bigint REFERENCES sessions ON DELETE ${action})`)
        const terms = { ...TERMS, cascade: ['audit_logs'] }
        assert.equal(await sessions(fresh.url, terms), '')
        for (const archived of [[], ['audit_logs']]) {
          const refusal = await sessions(fresh.url, { ...terms, archived, keeping: ['audit_logs'] })
          assert.match(
            refusal,
            /^Deleting from public\.sessions also \w+ rows of public\.audit_logs, .* a legal hold or a retention rule keeps rows of audit_logs, .*Nothing was deleted\. .* Run: /,
          )
          assert.equal(refusal.split('\n').length, 1)
        }
        await runs(fresh, await sessions(fresh.url, { ...terms, keeping: ['audit_logs'] }))
        assert.equal(await sessions(fresh.url, { ...terms, keeping: ['audit_logs'] }), '')
      }
    })

    it('a table of which rows are kept may not refer to itself so that they go', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`${SESSIONS}; ALTER TABLE sessions ADD COLUMN parent bigint REFERENCES sessions ON DELETE CASCADE`)
      const terms = { ...TERMS, cascade: ['sessions'] }
      assert.equal(await sessions(fresh.url, terms), '')
      assert.match(
        await sessions(fresh.url, { ...terms, keeping: ['sessions'] }),
        /a legal hold or a retention rule keeps rows of sessions/,
      )
    })

    for (const [what, sql] of [
      [
        'of a table',
        'CREATE TABLE api_keys (id int, session_id bigint, CONSTRAINT "of ""it" FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE)',
      ],
      [
        'of several columns, with MATCH FULL, deferred, and with an action for updates',
        `ALTER TABLE sessions ADD UNIQUE (id, expires_at);
         CREATE TABLE api_keys (id int, session_id bigint, at timestamp, FOREIGN KEY (session_id, at) REFERENCES sessions (id, expires_at)
           MATCH FULL ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)`,
      ],
      [
        'of a partitioned table',
        `CREATE TABLE api_keys (id int, session_id bigint REFERENCES sessions ON DELETE CASCADE) PARTITION BY LIST (id);
         CREATE TABLE keys_1 PARTITION OF api_keys FOR VALUES IN (1)`,
      ],
      [
        'of one partition',
        `CREATE TABLE api_keys (id int, session_id bigint) PARTITION BY LIST (id);
         CREATE TABLE keys_1 PARTITION OF api_keys FOR VALUES IN (1); ALTER TABLE keys_1 ADD FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE`,
      ],
      [
        'of a child by inheritance',
        `CREATE TABLE api_keys (id int, session_id bigint); CREATE TABLE keys_1 () INHERITS (api_keys);
         ALTER TABLE keys_1 ADD FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE`,
      ],
      [
        'that refers to a child by inheritance',
        `CREATE TABLE sessions_1 (PRIMARY KEY (id)) INHERITS (sessions);
         CREATE TABLE api_keys (id int, session_id bigint REFERENCES sessions_1 ON DELETE CASCADE)`,
      ],
    ] as const)
      it(`one ${what} is found, and the statement in the message ends it`, async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`${SESSIONS}; ${sql}`)
        const message = await sessions(fresh.url)
        assert.match(
          message,
          /^Deleting from public\.sessions also (?:deletes|changes) rows of public\.\w+, .* PURGE_SESSIONS_CASCADE=api_keys\./,
        )
        assert.equal(await sessions(fresh.url, { ...TERMS, cascade: ['api_keys'] }), '')
        const before = await declared(fresh)
        await runs(fresh, message)
        assert.equal(await sessions(fresh.url), '')
        // Nothing else has changed.
        assert.equal(
          await declared(fresh),
          before.replace(/ ON DELETE (?:CASCADE|SET NULL)/, '').replace(/$/, what.includes('partitioned') ? '' : ' NOT VALID'),
        )
      })

    it('one to a partitioned table or to one of its partitions is found', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`
        CREATE TABLE sessions (id bigint, expires_at timestamp, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE sessions_1 PARTITION OF sessions FOR VALUES FROM (0) TO (1000);
        CREATE TABLE tools (session_id bigint REFERENCES sessions ON DELETE CASCADE);
        CREATE TABLE api_keys (session_id bigint REFERENCES sessions_1 ON DELETE CASCADE)`)
      const message = await sessions(fresh.url)
      assert.match(message, /rows of public\.tools,.*=tools\./)
      assert.match(message, /rows of public\.api_keys, which refer to those of public\.sessions_1 .*=api_keys\./)
      assert.equal(message.split('\n').length, 2)
    })

    it('a cascade leads from one partition to what refers to the whole table', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`${SESSIONS};
        CREATE TABLE devices (id bigint PRIMARY KEY, session_id bigint) PARTITION BY RANGE (id);
        CREATE TABLE devices_1 PARTITION OF devices FOR VALUES FROM (0) TO (1000);
        ALTER TABLE devices_1 ADD FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE;
        CREATE TABLE api_keys (device_id bigint REFERENCES devices ON DELETE CASCADE)`)
      assert.match(await sessions(fresh.url), /rows of public\.api_keys, which refer to those of public\.devices /)
    })

    it('a table with a name of the gateway’s in another schema is another table', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${SESSIONS}; CREATE SCHEMA other; CREATE TABLE other.api_keys (session_id bigint REFERENCES sessions ON DELETE CASCADE)`,
      )
      assert.match(
        await sessions(fresh.url),
        /^deleting from public\.sessions also deletes rows of other\.api_keys, which refer to those \(ON DELETE CASCADE of "/,
      )
    })

    it('a role that may only purge learns of keys of tables that it may not read', async () => {
      await using fresh = await freshPostgres(major)
      const name = `${fresh.name}_role`
      await fresh.admin.query(`CREATE ROLE ${name} LOGIN; ${SESSIONS}; GRANT SELECT, DELETE ON sessions TO ${name};
        CREATE TABLE api_keys (session_id bigint REFERENCES sessions ON DELETE CASCADE)`)
      try {
        assert.match(await sessions(fresh.url.replace('postgres@', `${name}@`)), /PURGE_SESSIONS_CASCADE=api_keys/)
      } finally {
        await fresh.admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
      }
    })

    describe('without an index', () => {
      const NOTES = 'CREATE TABLE notes (id bigint, session_id bigint REFERENCES sessions'
      const told =
        /each row that is deleted from public\.sessions is looked for in all of public\.notes \("notes_session_id_fkey", 1\.\d MB\).* Run: /

      for (const action of ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'])
        it(`a large table is told, with the index to create: ON DELETE ${action}`, async () => {
          await using fresh = await freshPostgres(major)
          await fresh.admin.query(`${SESSIONS}; ${NOTES} ON DELETE ${action})`)
          assert.doesNotMatch(await sessions(fresh.url), told)
          await fresh.admin.query(filled('notes'))
          const message = await sessions(fresh.url)
          assert.match(message, told)
          assert.match(message, /Run: CREATE INDEX CONCURRENTLY "notes_session_id_purge" ON "public"\."notes" \("session_id"\)$/)
          await runs(fresh, message)
          assert.doesNotMatch(await sessions(fresh.url), told)
        })

      for (const [index, isServing] of [
        ['CREATE INDEX ON notes (session_id, id)', true],
        ['CREATE INDEX ON notes USING hash (session_id)', true],
        ['CREATE INDEX ON notes (session_id) WHERE session_id IS NOT NULL', true],
        ['CREATE INDEX ON notes (session_id) WHERE id > 5', false],
        ['CREATE INDEX ON notes USING brin (session_id)', false],
        ['CREATE INDEX ON notes (id, session_id)', false],
        ['CREATE INDEX ON notes ((session_id + 1))', false],
        ["CREATE INDEX one ON notes (session_id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one'::regclass", false],
      ] as const)
        it(`it ${isServing ? 'serves' : 'does not serve'}: ${index}`, async () => {
          await using fresh = await freshPostgres(major)
          await fresh.admin.query(`${SESSIONS}; ${NOTES}); ${filled('notes')}; ${index}`)
          const message = await sessions(fresh.url)
          assert.equal(message === '', isServing, message)
          if (index.includes('indisvalid')) assert.match(message, /Run: REINDEX INDEX CONCURRENTLY "public"\."one"$/)
        })

      it('of a partitioned table each partition that has none gets one, and the table all of them', async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`${SESSIONS}; ${NOTES}) PARTITION BY RANGE (id);
          CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (20000); CREATE TABLE notes_2 PARTITION OF notes FOR VALUES FROM (20000) TO (90000);
          CREATE INDEX own ON notes_1 (session_id); INSERT INTO notes (id) SELECT i FROM generate_series(1, 80000) AS i`)
        const message = await sessions(fresh.url)
        assert.match(message, /Run: CREATE INDEX "notes_session_id_purge" ON ONLY "public"\."notes" \("session_id"\); /)
        await runs(fresh, message)
        assert.equal(await sessions(fresh.url), '')
        assert.deepEqual((await fresh.admin.query('SELECT FROM pg_index WHERE NOT indisvalid')).rows, [])
      })

      it('what is only searched because a cascade deletes there is told too', async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin
          .query(`${SESSIONS}; CREATE TABLE devices (id bigint PRIMARY KEY, session_id bigint REFERENCES sessions ON DELETE CASCADE);
          CREATE TABLE notes (id bigint, device_id bigint REFERENCES devices); ${filled('notes')}`)
        assert.match(await sessions(fresh.url), /looked for in all of public\.notes \("notes_device_id_fkey"/)
      })
    })

    it('a key that is not enforced does nothing', { skip: major < 18 && 'from PostgreSQL 18 on' }, async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`${SESSIONS}; CREATE TABLE api_keys (session_id bigint REFERENCES sessions ON DELETE CASCADE NOT ENFORCED)`)
      assert.equal(await sessions(fresh.url), '')
    })
  })
}

async function declared({ admin }: FreshPostgres): Promise<string> {
  const { rows } = await admin.query<{ text: string }>(
    `SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE contype = 'f' AND conparentid = 0`,
  )
  return rows.map(({ text }) => text).join('; ')
}
