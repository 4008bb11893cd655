import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import { MIGRATED, OWN_TABLES, untrusted, type Holding } from '../../../src/database/postgres/owners.ts'
import { LEDGER } from '../../../src/migrations/ledger.ts'
import { readMigrationFiles } from '../../../src/migrations/migration-files.ts'
import { PACKAGE_ROOT } from '../../migrations/support.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { opened } from './fixture.ts'

const PLACE = { schema: 'public', role: 'worker' }
const held = (relation: string, owner: string, more: Partial<Holding> = {}): Holding => ({
  relation,
  owner,
  kind: 'r',
  self: false,
  superuser: false,
  ownsPlace: false,
  ...more,
})
const judged = (...holdings: Holding[]): readonly string[] => untrusted(holdings, new Set(holdings.map(({ relation }) => relation)), PLACE)

describe('whose relations are trusted', () => {
  it('relations of the connected role, of superusers and of the owner of database or schema are trusted', () => {
    for (const right of ['self', 'superuser', 'ownsPlace'] as const)
      assert.deepEqual(judged(held('maintenance_runs', 'somebody', { [right]: true })), [], right)
    assert.equal(judged(held('maintenance_runs', 'somebody')).length, 1)
  })

  it('relations of the one role that owns all of the gateway’s tables are trusted, and of none if several roles own them', () => {
    assert.deepEqual(judged(held('tools', 'app'), held('audit_logs', 'app'), held('maintenance_runs', 'app')), [])
    const divided = judged(held('tools', 'hostile'), held('audit_logs', 'app'), held('maintenance_runs', 'app'))
    assert.equal(divided.length, 3)
    assert.match(divided[0]!, /belong to several roles \(hostile, app\)/)
    assert.deepEqual(
      judged(held('tools', 'app', { self: true }), held('sessions', 'hostile'), held('maintenance_runs', 'app', { self: true })).map(
        (line) => line.split(' ', 1)[0],
      ),
      ['public.sessions'],
    )
    // What it lacked was made by a worker of rank.
    assert.deepEqual(judged(held('tools', 'postgres', { superuser: true }), held('audit_logs', 'app'), held('maintenance_runs', 'app')), [])
    // It owns none of the gateway's.
    assert.equal(judged(held('rate_limits', 'app'), held('maintenance_runs', 'app')).length, 2)
  })

  it('the owners of relations that are not touched do not matter', () => {
    assert.deepEqual(untrusted([held('tools', 'a'), held('audit_logs', 'b')], new Set(['maintenance_runs']), PLACE), [])
  })

  it('a refusal names the relation, its owner, what was not done, and statements that can be run', () => {
    const [line = ''] = untrusted(
      [held('maintenance_runs', 'Hos tile', { kind: 'v' }), held('tools', 'The "app"')],
      new Set(['maintenance_runs']),
      { schema: 'Gate way', role: 'w' },
    )
    assert.match(line, /^Gate way\.maintenance_runs is a view of role Hos tile, .* rights of w\. Nothing was read from it or written/)
    assert.ok(line.includes('run: DROP VIEW "Gate way"."maintenance_runs".'), line)
    assert.ok(line.endsWith('ALTER VIEW "Gate way"."maintenance_runs" OWNER TO "The ""app"""'), line)
  })

  it("a view in place of one of the worker's tables is refused, whoever owns it", () => {
    for (const kind of ['v', 'm', 'f', 'S'])
      assert.match(
        judged(held('maintenance_runs', 'worker', { kind, self: true }))[0]!,
        /the worker's relation of that name is a table/,
        kind,
      )
    for (const kind of ['r', 'p']) assert.deepEqual(judged(held('maintenance_runs', 'worker', { kind, self: true })), [], kind)
  })

  it('the owners of all tables and views that the migrations create are checked', async () => {
    const made = (await readMigrationFiles(PACKAGE_ROOT))
      .filter(({ fileName }) => !fileName.endsWith('_sqlite.sql'))
      .flatMap(({ text }) => [...text.matchAll(/^CREATE (?:OR REPLACE VIEW|TABLE IF NOT EXISTS) (\w+)/gm)].map(([, name]) => name!))
    assert.deepEqual([...MIGRATED].toSorted(), [LEDGER, ...made].toSorted())
    const tables = made.filter((name) => name.startsWith('maintenance_') && !name.endsWith('_history'))
    assert.deepEqual([...OWN_TABLES].toSorted(), [LEDGER, ...tables].toSorted())
  })
})

interface Cast {
  readonly fresh: FreshPostgres
  readonly app: string
  readonly worker: string
  readonly hostile: string
  readonly as: (role: string, sql: string) => Promise<void>
  /** Opens as this role, and asks for relations: `undefined`, or why not. */
  readonly refusal: (role: string) => Promise<string | undefined>
}

async function cast(major: (typeof POSTGRES_MAJORS)[number], play: (cast: Cast) => Promise<void>): Promise<void> {
  const fresh = await freshPostgres(major)
  const mark = randomBytes(4).toString('hex')
  const [app, worker, hostile] = [`app_${mark}`, `worker_${mark}`, `hostile_${mark}`]
  const roles = [app, worker, hostile]
  const { admin } = fresh
  for (const role of roles) await admin.query(`CREATE ROLE ${role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO ${role}`)
  const as: Cast['as'] = async (role, sql) => {
    await admin.query(`SET SESSION AUTHORIZATION ${role}; ${sql}; RESET SESSION AUTHORIZATION`)
  }
  const refusal: Cast['refusal'] = async (role) => {
    try {
      await using database = await opened(Object.assign(new URL(fresh.url), { username: role }).href)
      await database.relations()
      return undefined
    } catch (error) {
      assert.ok(error instanceof DatabaseError)
      assert.equal(error.exitCode, 3)
      assert.equal(error.code, 'DATABASE_REFUSED')
      return error.message
    }
  }
  try {
    await play({ fresh, app, worker, hostile, as, refusal })
  } finally {
    await admin.query(`RESET SESSION AUTHORIZATION; ALTER DATABASE ${fresh.name} OWNER TO postgres`)
    for (const role of roles) await admin.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
    await fresh.drop()
  }
}

const RUNS = 'CREATE TABLE public.maintenance_runs (id int)'
const AUDIT = 'CREATE TABLE public.audit_logs (id bigint PRIMARY KEY, "timestamp" timestamp); GRANT ALL ON public.audit_logs TO PUBLIC'
const JOB = { table: 'audit_logs', column: 'timestamp' } as const
const COLUMNS = ['id', 'timestamp'].map((name) => ({
  name,
  type: name === 'id' ? 'bigint' : 'timestamp without time zone',
  key: name === 'id',
}))

for (const major of POSTGRES_MAJORS) {
  describe(`owners on PostgreSQL ${major}`, () => {
    for (const { title, prepare } of [
      { title: 'the worker itself', prepare: ({ as, worker }: Cast) => as(worker, RUNS) },
      { title: 'a superuser', prepare: ({ fresh }: Cast) => fresh.admin.query(RUNS) },
      {
        title: 'the owner of the database',
        prepare: async ({ fresh, as, app }: Cast) => {
          await fresh.admin.query(`ALTER DATABASE ${fresh.name} OWNER TO ${app}`)
          await as(app, RUNS)
        },
      },
      {
        title: 'the owner of the schema',
        prepare: async ({ fresh, as, app }: Cast) => {
          await fresh.admin.query(`ALTER SCHEMA public OWNER TO ${app}`)
          await as(app, RUNS)
        },
      },
      {
        title: 'the owner of the gateway’s tables',
        prepare: async ({ as, app }: Cast) => {
          await as(app, `${AUDIT}; ${RUNS}`)
        },
      },
      {
        title: 'a role that a superuser made the worker a member of',
        prepare: async ({ fresh, as, app, worker }: Cast) => {
          await fresh.admin.query(`GRANT ${app} TO ${worker}`)
          await as(app, RUNS)
        },
      },
    ])
      it(`a table of ${title} is trusted`, () =>
        cast(major, async (players) => {
          await prepare(players)
          assert.equal(await players.refusal(players.worker), undefined)
          if (title.includes('gateway')) assert.equal(await players.refusal('postgres'), undefined)
        }))

    it('a table of a role in which an untrusted role made the worker a member is not trusted, nor one of a role of which a superuser happens to be a member', () =>
      cast(major, async ({ fresh, as, worker, hostile, refusal }) => {
        await as(hostile, RUNS)
        await fresh.admin.query(`ALTER ROLE ${hostile} CREATEROLE`)
        await as(hostile, `CREATE ROLE ${hostile}_made; GRANT ${hostile}_made TO ${worker}`)
        await fresh.admin.query(`ALTER TABLE maintenance_runs OWNER TO ${hostile}_made`)
        try {
          for (const role of [worker, 'postgres'])
            assert.match((await refusal(role)) ?? '', /^public\.maintenance_runs is a table of role hostile_/, role)
        } finally {
          await fresh.admin.query(`DROP OWNED BY ${hostile}_made CASCADE; DROP ROLE ${hostile}_made`)
        }
      }))

    it('a table that appears while the worker runs is refused when it is used', () =>
      cast(major, async ({ fresh, as, app, worker, hostile }) => {
        await using database = await opened(Object.assign(new URL(fresh.url), { username: worker }).href)
        await as(hostile, RUNS)
        for (const look of [() => database.relations(), () => database.tablesAmong(['maintenance_leases'])])
          await assert.rejects(look(), /maintenance_runs is a table of role hostile/, String(look))
        await fresh.admin.query('DROP TABLE maintenance_runs')
        await as(app, 'CREATE TABLE public.tools (id int)')
        await as(hostile, AUDIT)
        for (const ask of [
          () => database.inspect(JOB),
          () => database.expired(JOB, 0).estimate(),
          () => database.approximateRows('audit_logs'),
          () => database.makeRestoreTable({ source: 'audit_logs', into: 'x', timeColumn: 'timestamp', cutoff: undefined }, COLUMNS),
          () => database.makeRestoreTable({ source: 'x', into: 'audit_logs', timeColumn: 'timestamp', cutoff: undefined }, COLUMNS),
        ])
          await assert.rejects(ask(), /^DatabaseError: public\.audit_logs is a table of role hostile/, String(ask))
      }))

    it('a table that appears while the migration lock is awaited or held is refused, and the work on it is rolled back', () =>
      cast(major, async ({ fresh, as, worker, hostile }) => {
        await using database = await opened(Object.assign(new URL(fresh.url), { username: worker }).href)
        const lock = { timeoutMs: 1_000, signal: new AbortController().signal, waiting: () => undefined }
        await database.withMigrationLock(lock, async (apply) => {
          const meanwhile = apply(async (tx) => {
            await tx.query('CREATE TABLE public.mine (id int)')
            await as(hostile, RUNS)
          })
          await assert.rejects(meanwhile, /maintenance_runs is a table of role hostile/)
          let begun = false
          await assert.rejects(
            apply(() => Promise.resolve((begun = true))),
            /maintenance_runs is a table of role hostile/,
          )
          assert.ok(!begun)
        })
        const { rows } = await fresh.admin.query(`SELECT FROM pg_class WHERE relname = 'mine'`)
        assert.equal(rows.length, 0)
        await assert.rejects(
          database.withMigrationLock(lock, () => Promise.resolve()),
          /maintenance_runs is a table of role hostile/,
        )
      }))
  })
}
