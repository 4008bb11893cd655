import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { pendingMigrations } from '../../src/migrations/prospect.ts'
import { readMigrationFiles, type MigrationFile } from '../../src/migrations/migration-files.ts'
import { SHAPES } from '../../src/migrations/shapes/migration-shapes.ts'
import { ENGINES } from '../support/engines.ts'
import { shapesMade } from './shapes-made.ts'
import { initialSchema, isSqlite, listening, made, migrated, opened, optionsFor, pictureOf, PACKAGE_ROOT } from './support.ts'

const initial = await initialSchema()
const every = await readMigrationFiles(PACKAGE_ROOT)

async function refusal(attempt: Promise<unknown>): Promise<MaintenanceError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof MaintenanceError, `expected a refusal, got ${String(error)}`)
  return error
}

for (const engine of ENGINES) {
  describe(`migrations on ${engine.name}`, () => {
    it('an empty database gets the whole schema, and the history', async () => {
      await using test = await engine.fresh()
      await using database = await opened(test.url)
      const told = listening()
      const before = Date.now()
      assert.deepEqual(
        (await migrate(optionsFor(database, initial, { listener: told.listener }))).map(({ version, name }) => [version, name]),
        [[1, 'initial_schema']],
      )
      assert.deepEqual(told.events, ['applied 1', 'current 1/1'])
      const rows = await test.sql('SELECT * FROM maintenance_migrations')
      const { applied_at: appliedAt, duration_ms: durationMs, ...row } = rows[0] ?? {}
      const checksum = initial.find(({ fileName }) => database.migrationFiles.test(fileName))?.checksum
      assert.deepEqual([rows.length, row], [1, { version: 1, name: 'initial_schema', checksum, app_version: '0.0.0-test' }])
      assert.ok(Number(appliedAt) >= before - 1000 && Number(appliedAt) <= Date.now() + 1000 && Number(durationMs) >= 0)
    })

    it('each file creates exactly what its description says', async () => {
      await using test = await engine.fresh()
      await using database = await opened(test.url)
      for (const [stem, relations] of await shapesMade(database)) {
        const described = SHAPES[stem] ?? {}
        assert.deepEqual([...relations.keys()].toSorted(), Object.keys(described).toSorted(), `${stem}: npm run docs:shapes`)
        for (const [name, { kind, columns }] of relations) {
          const shape = described[name]!
          assert.equal(kind, shape.kind)
          assert.deepEqual([...columns.keys()], Object.keys(shape.columns), name)
          for (const [column, { family }] of columns) {
            if (family !== undefined) assert.equal(family, shape.columns[column], `${name}.${column}`)
          }
        }
      }
    })

    it("another program's table of the same name is refused and left as it is", async () => {
      await using test = await engine.fresh()
      await migrated(
        test.url,
        every.filter(({ version }) => version < 3),
      )
      await test.sql('CREATE TABLE rate_limits (key VARCHAR(99) PRIMARY KEY, expires_at TIMESTAMP)')
      const picture = await pictureOf(test)
      const error = await refusal(migrated(test.url, every))
      assert.equal(error.exitCode, 4)
      for (const column of ['subject', 'resource', 'window_start', 'window_seconds', 'request_count'])
        assert.match(error.message, new RegExp(`^- rate_limits has no column ${column}$`, 'm'))
      assert.deepEqual(await pictureOf(test), picture)
    })

    it('a second pass changes nothing, and says so', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      const picture = await pictureOf(test)
      const told = listening()
      assert.deepEqual(await migrated(test.url, initial, { listener: told.listener }), [])
      assert.deepEqual(told.events, ['current 0/1'])
      assert.deepEqual(await pictureOf(test), picture)
    })

    it('a current database costs one look for the history and one SELECT, and no SQL is parsed', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      await using database = await opened(test.url)
      const asked: string[] = []
      const watched: Database = {
        ...database,
        query: (sql, values) => (asked.push(sql), database.query(sql, values)),
        tablesAmong: (names) => (asked.push(...names), database.tablesAmong(names)),
        relations: notAsked,
        transaction: notAsked,
        withMigrationLock: notAsked,
      }
      const unread = initial.map((file) => Object.defineProperty({ ...file }, 'script', { get: notAsked }))
      await migrate(optionsFor(watched, unread))
      assert.deepEqual(
        asked.map((sql) => sql.slice(0, 13)),
        ['maintenance_m', 'SELECT versio'],
      )
    })

    it('history and catalogue are read once before the lock and once under it, however many files are pending', async () => {
      await using test = await engine.fresh()
      await using database = await opened(test.url)
      const asked: string[] = []
      const watched: Database = {
        ...database,
        query: (sql, values) => (asked.push(/FROM \S+/.exec(sql)?.[0] ?? ''), database.query(sql, values)),
        tablesAmong: (names) => (asked.push('tables'), database.tablesAmong(names)),
        relations: () => (asked.push('catalogue'), database.relations()),
        withMigrationLock: (lock, work) => database.withMigrationLock(lock, (...given) => (asked.push('locked'), work(...given))),
      }
      await migrate(optionsFor(watched, initial))
      assert.deepEqual(asked, ['tables', 'catalogue', 'locked', 'tables', 'catalogue'])
      asked.length = 0
      await migrate(optionsFor(watched, three))
      const read = ['tables', `FROM ${database.named('maintenance_migrations')}`, 'catalogue']
      assert.deepEqual(asked, [...read, 'locked', ...read])
    })

    it('each file can run again over its own result without changing it', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      const withoutHistory = async (): Promise<string[]> =>
        (await pictureOf(test)).filter((line) => !line.includes('maintenance_migrations'))
      const picture = await withoutHistory()
      await test.sql('DROP TABLE maintenance_migrations')
      assert.equal((await migrated(test.url, initial)).length, 1)
      assert.deepEqual(await withoutHistory(), picture)
    })

    it('a dry run only reads the migrations', async () => {
      await using test = await engine.fresh()
      await using database = await opened(test.url, { access: 'read' })
      assert.deepEqual(
        (await pendingMigrations({ database, files: initial })).map(({ version }) => version),
        [1],
      )
      assert.deepEqual(isSqlite(test) ? [] : await pictureOf(test), [])
    })

    const two = [...initial, ...made('002_more', 'CREATE TABLE IF NOT EXISTS more (a INTEGER);')]
    const three = [...two, ...made('003_most', 'CREATE TABLE IF NOT EXISTS most (a INTEGER);')]
    const refusals: [string, readonly MigrationFile[], readonly MigrationFile[], RegExp][] = [
      [
        'a file that was changed',
        two,
        [...initial, ...made('002_more', 'SELECT 1;')],
        /^migrations\/002_more(_sqlite)?\.sql was changed after it was applied on 20.*Z by version 0\.0\.0-test\. Restore/,
      ],
      [
        'a file whose name was changed',
        two,
        [...initial, ...made('002_less', 'SELECT 1;')],
        /^Migration 002_more was applied .* but its file is missing/,
      ],
      [
        'a database newer than the build',
        three,
        two,
        /^The database is newer than this build, .*002\. The database also has 003_most .*Use version 0\.0\.0-test or later/,
      ],
    ]
    for (const [name, first, then, expected] of refusals) {
      it(`${name} is refused, also in a dry run, and nothing is changed`, async () => {
        await using test = await engine.fresh()
        await migrated(test.url, first)
        const picture = await pictureOf(test)
        const more = [...then, ...made(`${String(then.length / 2 + 1).padStart(3, '0')}_pending`, 'CREATE TABLE pending (a INTEGER);')]
        for (const files of name.includes('newer') ? [then] : [then, more]) {
          const error = await refusal(migrated(test.url, files))
          assert.deepEqual([error.code, error.exitCode], ['MIGRATION_REFUSED', 4])
          assert.match(error.message, expected)
          assert.match(error.message, /\nNothing was changed\.$/)
          await using database = await opened(test.url, { access: 'read' })
          assert.equal((await refusal(pendingMigrations({ database, files }))).message, error.message)
        }
        assert.deepEqual(await pictureOf(test), picture)
      })
    }

    it('a lower number that was never applied is refused', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, three)
      await test.sql('DELETE FROM maintenance_migrations WHERE version = 2')
      const error = await refusal(migrated(test.url, three))
      assert.equal(error.code, 'MIGRATION_REFUSED')
      assert.match(error.message, /002_more(_sqlite)?\.sql was never applied here, but the later 003_most was, .* renumber it to 004/)
    })

    it('another program’s history table is refused', async () => {
      await using test = await engine.fresh()
      await test.sql('CREATE TABLE maintenance_migrations (id INTEGER, dirty INTEGER)')
      const error = await refusal(migrated(test.url, initial))
      assert.equal(error.code, 'MIGRATION_REFUSED')
      assert.match(error.message, /maintenance_migrations is not the worker's record .* columns are id, dirty\.\n/)
    })

    it('a view with the history’s name is refused', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      await test.sql('ALTER TABLE maintenance_migrations RENAME TO elsewhere')
      await test.sql('CREATE VIEW maintenance_migrations AS SELECT * FROM elsewhere')
      const error = await refusal(migrated(test.url, initial))
      assert.match(error.message, /maintenance_migrations is (a view, but|not the worker's record)/)
      assert.deepEqual((await test.sql('SELECT version FROM elsewhere')).length, 1)
    })

    it('invalid files are refused before the first is applied, with every problem', async () => {
      await using test = await engine.fresh()
      const bad = [...made('002_bad', 'COMMIT;'), ...made('003_worse', "SELECT 1;\nSELECT 'x;")]
      for (const attempt of [
        () => migrated(test.url, [...initial, ...bad]),
        async () => {
          await using database = await opened(test.url, { access: 'read' })
          await pendingMigrations({ database, files: [...initial, ...bad] })
        },
      ]) {
        const error = await refusal(attempt())
        assert.deepEqual([error.code, error.exitCode], ['MIGRATION_FILES_INVALID', 2])
        assert.match(
          error.message,
          /^migrations\/002_bad(_sqlite)?\.sql:1:1 COMMIT .*\nmigrations\/003_worse(_sqlite)?\.sql:2:8 this quote never ends$/,
        )
      }
      assert.deepEqual(await pictureOf(test), [])
    })

    it('the history is read again if another worker created it just after it was missing', async () => {
      await using test = await engine.fresh()
      await using database = await opened(test.url)
      const tablesAmong = database.tablesAmong.bind(database)
      database.tablesAmong = async (names) => {
        database.tablesAmong = tablesAmong
        await migrated(test.url, initial)
        return await database.tablesAmong(names)
      }
      assert.deepEqual(await pendingMigrations({ database, files: initial }), [])
    })

    it('a failed file is rolled back, and reported with file, line, column, statement and the state of the database', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      const picture = await pictureOf(test)
      const sql = `-- 🦊 a comment\nCREATE TABLE kept_out (a INTEGER);\n\nCREATE TABLE other (b INTEGER);\n  INSERT INTO other (b)\n\tSELECT nope FROM other;\n`
      const error = await refusal(migrated(test.url, [...initial, ...made('002_bad', sql)]))
      assert.deepEqual([error.code, error.exitCode], ['MIGRATION_FAILED', 4])
      const lines = error.message.split('\n')
      const place = isSqlite(test) ? '5:3' : '6:9'
      assert.match(lines[0] ?? '', new RegExp(`^migrations/002_bad(_sqlite)?\\.sql:${place} \\(statement 3\\) .*nope`))
      assert.deepEqual(
        lines.slice(1, 3),
        isSqlite(test) ? ['  5 |   INSERT INTO other (b)', '        ^'] : ['  6 | \tSELECT nope FROM other;', '      \t       ^'],
      )
      assert.equal(lines[3], 'Rolled back. The database is still at 001.')
      assert.ok(error.cause instanceof Error)
      assert.deepEqual(await pictureOf(test), picture)
    })

    it('the good files before a bad one stay applied', async () => {
      await using test = await engine.fresh()
      const told = listening()
      const files = [...two, ...made('003_bad', 'SELECT * FROM nowhere;'), ...made('004_never', 'CREATE TABLE never (a INTEGER);')]
      const error = await refusal(migrated(test.url, files, { listener: told.listener }))
      assert.match(error.message, /003_bad/)
      assert.match(error.message, /still at 002/)
      assert.deepEqual(told.events, ['applied 1', 'applied 2'])
      assert.deepEqual(await test.sql('SELECT version FROM maintenance_migrations ORDER BY version'), [{ version: 1 }, { version: 2 }])
    })

    it('nothing is left behind, not even the history, when the first file fails', async () => {
      await using test = await engine.fresh()
      const error = await refusal(migrated(test.url, made('001_bad', 'CREATE TABLE a (b INTEGER); SELECT * FROM nowhere;')))
      assert.match(error.message, /The database is still without any migration\.$/)
      assert.deepEqual(await pictureOf(test), [])
    })

    it('a request to stop ends migrating between files, without an error', async () => {
      await using test = await engine.fresh()
      const stop = new AbortController()
      const told = listening()
      const listener = { ...told.listener, applied: () => stop.abort() }
      const applied = await migrated(test.url, three, { listener, signal: stop.signal })
      assert.deepEqual(
        applied.map(({ version }) => version),
        [1],
      )
      assert.deepEqual(told.events, [])
      assert.equal((await migrated(test.url, three)).length, 2)
    })

    it('a worker waits for another that is migrating, and names it', async () => {
      await using test = await engine.fresh()
      await using other = await holdingTheLock(test.url)
      const told = listening()
      const listener = {
        ...told.listener,
        waiting: (holder: string) => (told.events.push('waiting'), assert.notEqual(holder, ''), other.release()),
      }
      await migrated(test.url, initial, { listener })
      assert.deepEqual(told.events, ['waiting', 'applied 1', 'current 1/1'])
    })

    it('a worker stops waiting for another when the time is up', async () => {
      await using test = await engine.fresh()
      await using other = await holdingTheLock(test.url)
      const error = await refusal(migrated(test.url, initial, { lockTimeoutMs: 50 }))
      other.release()
      assert.deepEqual([error.code, error.exitCode], ['MIGRATION_FAILED', 4])
      assert.match(
        error.message,
        /\n(This worker began no migration\. Start again when the other worker has finished\.|Start the worker again when the holder of the lock has finished\.)$/,
      )
    })

    it('a request to stop while waiting for another worker ends without an error', async () => {
      await using test = await engine.fresh()
      await using other = await holdingTheLock(test.url)
      const stop = new AbortController()
      const listener = { ...listening().listener, waiting: () => stop.abort() }
      assert.deepEqual(await migrated(test.url, initial, { listener, signal: stop.signal }), [])
      other.release()
    })

    it('eight workers that start together apply each file once', async () => {
      await using test = await engine.fresh()
      const counts = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const told = listening()
          const applied = await migrated(test.url, three, { listener: told.listener })
          assert.equal(told.events.at(-1), `current ${applied.length}/3`)
          return applied.length
        }),
      )
      assert.equal(
        counts.reduce((a, b) => a + b),
        3,
      )
      assert.deepEqual(await test.sql('SELECT version FROM maintenance_migrations ORDER BY version'), [
        { version: 1 },
        { version: 2 },
        { version: 3 },
      ])
    })

    it('an update gives updated_at a later time, unless it sets that itself', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      const old = '2020-01-01 00:00:00'
      for (const [table, insert] of [
        ['tools', `INSERT INTO tools (name, description, path, permissions, updated_at) VALUES ('a', 'b', 'c', '[]', '${old}')`],
        ['mcp_servers', `INSERT INTO mcp_servers (name, url, updated_at) VALUES ('a', 'b', '${old}')`],
      ] as const) {
        await test.sql(insert)
        const told = (): Promise<{ year: string }[]> =>
          test.sql(`SELECT substr(CAST(updated_at AS VARCHAR(40)), 1, 4) AS year FROM ${table}`)
        await test.sql(`UPDATE ${table} SET description = 'd'`)
        assert.notDeepEqual(await told(), [{ year: '2020' }])
        await test.sql(`UPDATE ${table} SET updated_at = '2021-05-05 00:00:00'`)
        assert.deepEqual(await told(), [{ year: '2021' }])
      }
    })

    it('the views distinguish users, and recent rows from old ones', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, initial)
      const rows: [string, string, number][] = [
        ['ann', 'success', -60],
        ['bob', 'success', -23 * 3600],
        ['bob', 'success', -25 * 3600],
        ['cid', 'policy_violation', -120],
      ]
      for (const [user, status, seconds] of rows) {
        await test.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, error, execution_time, "timestamp") VALUES ('t', $1, 'invoke', $2, 'no', 10, ${engine.moment(seconds)})`,
          [user, status],
        )
      }
      assert.deepEqual(await test.sql('SELECT "user" FROM recent_audit_activity'), [{ user: 'ann' }, { user: 'cid' }, { user: 'bob' }])
      assert.deepEqual(await test.sql('SELECT "user", reason FROM policy_violations'), [{ user: 'cid', reason: 'no' }])
      const [stats] = await test.sql('SELECT * FROM tool_usage_stats')
      assert.deepEqual(
        [stats?.['tool_name'], stats?.['invocation_count'], stats?.['unique_users'], Number(stats?.['avg_execution_time_ms'])],
        ['t', 3, 2, 10],
      )
    })

    it('large tables are named before they get an index, and only those', async () => {
      await using test = await engine.fresh()
      await test.sql('CREATE TABLE big (a INTEGER, b INTEGER)')
      await test.sql('CREATE TABLE small (a INTEGER)')
      await test.sql('INSERT INTO big WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100001) SELECT i, i FROM n')
      await test.sql('CREATE INDEX big_a ON big (a)')
      await test.sql('ANALYZE')
      const told = listening()
      const sql = `CREATE INDEX IF NOT EXISTS big_a ON big (a); CREATE INDEX IF NOT EXISTS big_b ON big (b); CREATE INDEX small_a ON small (a);
        CREATE TABLE fresh (a INTEGER); CREATE INDEX fresh_a ON fresh (a);`
      await migrated(test.url, made('001_indexes', sql), { listener: told.listener })
      assert.deepEqual(told.events, ['slow big', 'applied 1', 'current 1/1'])
      assert.match(
        told.messages[0] ?? '',
        /^big has about 100,001 rows and gets 1 index: writes to it may be blocked for about 1 s \(estimated/,
      )
    })

    it('a file may recreate an existing table, and index it', async () => {
      await using test = await engine.fresh()
      await test.sql('CREATE TABLE old (a INTEGER)')
      const files = [
        ...made('001_drop', 'DROP TABLE old;'),
        ...made('002_make', 'CREATE TABLE old (a INTEGER); CREATE INDEX old_a ON old (a);'),
      ]
      assert.equal((await migrated(test.url, files)).length, 2)
    })
  })
}

/** Another worker in the middle of a file. */
async function holdingTheLock(url: string): Promise<AsyncDisposable & { release(): void }> {
  const database = await opened(url)
  const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const options = { timeoutMs: 1000, signal: new AbortController().signal, waiting: () => {} }
  const work = database.withMigrationLock(options, (apply) => apply(() => (held.resolve(), released.promise)))
  await held.promise
  return {
    release: () => released.resolve(),
    async [Symbol.asyncDispose]() {
      released.resolve()
      await work
      await database[Symbol.asyncDispose]()
    },
  }
}

function notAsked(): never {
  return assert.fail('more than one SELECT')
}
