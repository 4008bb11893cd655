import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Database } from '../../src/database/database.ts'
import { ACCEPTABLE, type Acceptance } from '../../src/purge/safety.ts'
import { DAY, HOUR, hostClock, type Clock } from '../../src/time/clock.ts'
import { freshFolder, purged } from '../archive/support.ts'
import { AUDIT_LOGS, migrated, opened, run, SESSIONS } from '../runs/support.ts'
import { command, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const isValid = ajv.compile(JSON.parse(await readFile(new URL('../../docs/subject.schema.json', import.meta.url), 'utf8')) as object)

interface Span {
  readonly first: string
  readonly last: string
}

interface Listed {
  readonly id: string
  readonly at: string | null
  readonly keptUntil: string | null
  readonly holds: readonly string[]
  readonly rules: readonly string[]
}

interface Table {
  readonly table: string
  readonly state: string
  readonly rows: number
  readonly undated: number
  readonly unreadable: number
  readonly times: Span | null
  readonly going: number
  readonly keptUntil: Span | null
  readonly stays: string | null
  readonly holds: readonly { readonly name: string; readonly rows: number }[]
  readonly rules: readonly { readonly name: string; readonly rows: number }[]
  readonly listed: readonly Listed[]
  readonly more: boolean
}

interface Answer {
  readonly user: string
  readonly tables: readonly Table[]
  readonly archive: {
    readonly filesRead: number
    readonly rows: number
    readonly files: readonly {
      readonly path: string
      readonly rows: number
      readonly times: Span
      readonly expiresAt: string | null
      readonly holds: readonly { readonly name: string; readonly rows: number }[]
    }[]
  } | null
  readonly problems: readonly string[]
}

const USERS = ['alice', 'Alice', "o'brien", 'per%cent_', 'ünïcode 😀\n"quoted" \\ name ']
const TOOLS = ['t1', 'T12', 'mail:send', 'x']
const STATUSES = ['success', 'denied', 'failure']
const RETENTION = 10
/** As the command takes them; the runs below have the same. */
const RULES = [
  { name: 'security', match: { status: ['denied'] }, retentionDays: 16 },
  { name: 'mail', match: { tool_name: ['mail:*'] }, retentionDays: 14 },
  { name: 'own', match: { user: ['alice'] }, retentionDays: 12 },
  { name: 'keep', match: { tool_name: ['x'], status: ['failure'] }, retentionDays: undefined },
]
const ARCHIVE_DAYS = 18
const GRACE_HOURS = 5

const EVERYTHING = new Set(Object.keys(ACCEPTABLE) as Acceptance[])

/** A clock that stands still. */
function standing(at: number): Clock {
  return { ...hostClock(), now: () => at }
}

/** The database at a moment. A file goes by the clock of this process, a server by its own: there the moment takes the place of the server's answer. */
async function openedAt(outside: TestDatabase, engine: TestEngine, at: number): Promise<Database> {
  const database = await opened(outside.url, standing(at))
  if (engine.name === 'sqlite') return database
  const transaction: Database['transaction'] = (work, options) => database.transaction((tx) => work({ ...tx, now: at }), options)
  const changed: Partial<Database> = { now: () => Promise.resolve(at), transaction }
  return new Proxy(database, { get: (target, name) => Reflect.get(name in changed ? changed : target, name) as unknown })
}

/** Numbers from 0 to below 1, the same for the same seed. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

interface AuditRow {
  readonly id: number
  readonly user: string
  readonly tool: string
  readonly status: string
  /** `undefined`: it has none that can be read. */
  readonly at: number | undefined
}

/** As each engine takes a time without a zone, exact to the millisecond. */
function stored(at: number): string {
  return new Date(at).toISOString().slice(0, -1).replace('T', ' ')
}

async function fill(outside: TestDatabase, engine: TestEngine, now: number, seed: number): Promise<readonly AuditRow[]> {
  const next = random(seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!
  const rows: AuditRow[] = []
  const tables = new Map<string, (string | number)[][]>()
  const add = (into: string, ...values: (string | number)[]): void => {
    if (!tables.has(into)) tables.set(into, [])
    tables.get(into)!.push(values)
  }
  for (let id = 1; id <= 700; id += 1) {
    const at = now - Math.floor(next() * 20 * DAY)
    const row = { id, user: pick(USERS), tool: pick(TOOLS), status: pick(STATUSES), at }
    const strange = id % 97 === 0 ? (engine.name === 'sqlite' ? 'yesterday' : 'infinity') : undefined
    add(
      'audit_logs (id, tool_name, "user", action, status, output, timestamp)',
      id,
      row.tool,
      row.user,
      'invoke',
      row.status,
      `secret of ${row.user}`,
      strange ?? stored(at),
    )
    rows.push(strange === undefined ? row : { ...row, at: undefined })
  }
  for (let id = 1; id <= 120; id += 1) {
    const expires = stored(now + Math.floor((next() - 0.5) * 20 * HOUR))
    add('sessions (id, session_token, user_identifier, expires_at)', id, `token ${id}`, pick(USERS), expires)
    add('policy_decisions (id, user_identifier, resource, action, decision, expires_at)', id, pick(USERS), 'r', 'a', 'allow', expires)
    add('api_keys (id, key_hash, name, user_identifier, created_by)', id, `hash ${id}`, 'key', pick(USERS), pick(USERS))
    add('rate_limits (subject, resource, window_start, window_seconds, expires_at)', pick(USERS), `r${id}`, expires, 60, expires)
  }
  for (const [into, all] of tables)
    for (let from = 0; from < all.length; from += MOST_AT_ONCE) {
      const some = all.slice(from, from + MOST_AT_ONCE)
      let place = 0
      const places = some.map((values) => `(${values.map(() => `$${(place += 1)}`).join(', ')})`)
      await outside.sql(`INSERT INTO ${into} VALUES ${places.join(', ')}`, some.flat())
    }
  return rows
}

const MOST_AT_ONCE = 100

interface HoldOfTest {
  readonly name: string
  readonly words: readonly string[]
  keeps(row: AuditRow): boolean
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}

/** In words of the command line, and once more as they are to be understood. */
function holdsAt(now: number): readonly HoldOfTest[] {
  const [from, to] = [now - 15 * DAY, now - 5 * DAY].map((time) => Math.floor(time / DAY) * DAY)
  return [
    {
      name: 'case-17',
      words: ['--user', 'ALICE', '--from', dayOf(from!), '--to', dayOf(to!)],
      keeps: ({ user, at }) => user.toLowerCase() === 'alice' && at !== undefined && at >= from! && at < to!,
    },
    {
      name: 'case-18',
      words: ['--tool', 't1*', '--status', 'denied', '--user', "o'brien", '--user', 'per%*'],
      keeps: ({ user, tool, status }) => /^t1/i.test(tool) && status === 'denied' && (user === "o'brien" || user.startsWith('per%')),
    },
  ]
}

function rulesOf(row: AuditRow): readonly (typeof RULES)[number][] {
  return RULES.filter(({ match }) =>
    Object.entries(match).every(([column, [pattern]]) => {
      const value = (column === 'status' ? row.status : column === 'user' ? row.user : row.tool).toLowerCase()
      return pattern!.endsWith('*') ? value.startsWith(pattern!.slice(0, -1)) : value === pattern
    }),
  )
}

/** `undefined`: it never goes. */
function keptUntil(row: AuditRow, holds: readonly HoldOfTest[]): number | undefined {
  if (row.at === undefined || holds.some((hold) => hold.keeps(row))) return undefined
  const days = [RETENTION, ...rulesOf(row).map(({ retentionDays }) => retentionDays ?? Infinity)]
  const longest = Math.max(...days)
  return longest === Infinity ? undefined : row.at + longest * DAY
}

function environment(outside: TestDatabase, folder: string): Readonly<Record<string, string>> {
  const rules = RULES.map(({ name, match, retentionDays }) => ({
    name,
    match,
    retention: retentionDays === undefined ? 'forever' : `${retentionDays}d`,
  }))
  return {
    DATABASE_URL: outside.url,
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: folder,
    ARCHIVE_RETENTION: `${ARCHIVE_DAYS}d`,
    AUDIT_LOGS_RETENTION: `${RETENTION}d`,
    AUDIT_LOGS_RETENTION_RULES: JSON.stringify(rules),
    SESSIONS_GRACE: `${GRACE_HOURS}h`,
  }
}

async function answerOf(user: string, env: Readonly<Record<string, string>>): Promise<Answer> {
  const ended = await command(['subject', 'find', '--user', user, '--json'], { env })
  assert.equal(ended.code, 0, `${ended.stderr}\n${ended.stdout}`)
  mustNotBeLogged(user, ended)
  const document = JSON.parse(ended.stdout) as Answer
  assert.ok(isValid(document), ajv.errorsText(isValid.errors))
  assert.ok(!ended.stdout.includes('secret of'), 'the content of a row is in the answer')
  return document
}

/** Neither as it is nor as JSON writes it. */
function mustNotBeLogged(user: string, { stderr }: Ended): void {
  for (const text of [user, JSON.stringify(user).slice(1, -1)]) assert.ok(!stderr.includes(text), stderr)
}

/** Every file of rows below a folder, by its path from there. */
async function archivedRows(folder: string): Promise<ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>> {
  const paths = (await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.ndjson.zst'))
  const files = new Map<string, readonly Readonly<Record<string, unknown>>[]>()
  for (const path of paths.toSorted()) {
    const lines = zstdDecompressSync(await readFile(join(folder, path)))
      .toString()
      .split('\n')
      .filter((line) => line !== '')
    files.set(
      path,
      lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>),
    )
  }
  return files
}

function spanOf(times: readonly number[]): Span | null {
  if (times.length === 0) return null
  return { first: new Date(Math.min(...times)).toISOString(), last: new Date(Math.max(...times)).toISOString() }
}

/** The rows of a table as plain SQL has them, dated. */
async function rowsOf(
  outside: TestDatabase,
  table: string,
  user: string,
): Promise<readonly { readonly id: string | null; readonly at: number }[]> {
  const [time, where] =
    table === 'api_keys'
      ? ['created_at', 'user_identifier = $1 OR created_by = $1']
      : ['expires_at', `${table === 'rate_limits' ? 'subject' : 'user_identifier'} = $1`]
  const id = table === 'rate_limits' ? 'NULL' : 'id'
  const rows = await outside.sql<{ id: number | null; at: string }>(
    `SELECT ${id} AS id, CAST(${time} AS TEXT) AS at FROM ${table} WHERE ${where}`,
    [user],
  )
  return rows.map((row) => ({ id: row.id === null ? null : String(row.id), at: Date.parse(`${row.at.replace(' ', 'T')}Z`) }))
}

function sorted(rows: readonly { readonly id: string | null }[]): readonly string[] {
  return rows.map(({ id }) => id ?? '').toSorted((a, b) => Number(a) - Number(b))
}

async function present(outside: TestDatabase, table: string): Promise<readonly number[]> {
  const rows = await outside.sql<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)
  return rows.map(({ id }) => id)
}

/** Some ten commands and a dozen runs with an archive. */
const UNHURRIED = { timeout: 400_000 }

for (const engine of BOTH_ENGINES) {
  test(
    `${engine.name}: every figure is what SQL and the files say, and what is foretold of each row is what runs do`,
    UNHURRIED,
    async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await using folder = await freshFolder()
      const env = environment(outside, folder.path)
      const now = Date.now()
      const all = await fill(outside, engine, now, 20_26)
      const holds = holdsAt(now)
      for (const { name, words } of holds) {
        const placed = await command(['hold', 'place', name, ...words, '--reason', 'a letter of the court'], {
          env: { DATABASE_URL: outside.url },
        })
        assert.equal(placed.code, 0, placed.stderr)
      }
      const rules = RULES.map(({ name, match, retentionDays }) => ({
        name,
        match,
        retentionMs: retentionDays === undefined ? undefined : retentionDays * DAY,
      }))
      const runAt = async (at: number): Promise<void> => {
        const clock = standing(at)
        await using database = await openedAt(outside, engine, at)
        for (const job of [AUDIT_LOGS, SESSIONS]) {
          const result =
            job === AUDIT_LOGS
              ? await purged(
                  database,
                  folder.path,
                  { rules, retentionMs: RETENTION * DAY, keptMs: ARCHIVE_DAYS * DAY, lateKeptMs: 30 * DAY, accepted: EVERYTHING },
                  { clock },
                )
              : await run(database, { job, retentionMs: undefined, graceMs: GRACE_HOURS * HOUR, accepted: EVERYTHING }, { clock })
          assert.equal(result.outcome, 'succeeded', String(result.error))
        }
      }
      // What has expired goes into the archive first, so that there is something in each place.
      await runAt(now)
      const goneAtOnce = new Set(all.filter((row) => (keptUntil(row, holds) ?? Infinity) < now).map(({ id }) => id))
      assert.ok(goneAtOnce.size > 100)
      assert.deepEqual(
        await present(outside, 'audit_logs'),
        all.map(({ id }) => id).filter((id) => !goneAtOnce.has(id)),
      )
      const files = await archivedRows(folder.path)
      assert.ok(files.size > 5)
      const byId = new Map(all.map((row) => [row.id, row]))
      const answers: Answer[] = []

      for (const user of USERS) {
        const answer = await answerOf(user, env)
        answers.push(answer)
        assert.deepEqual([answer.user, answer.problems], [user, []])
        const table = (name: string): Table => answer.tables.find((each) => each.table === name)!

        const own = (await outside.sql<{ id: number }>('SELECT id FROM audit_logs WHERE "user" = $1', [user])).map(({ id }) =>
          byId.get(id)!,
        )
        const audit = table('audit_logs')
        assert.ok(own.length > 10)
        assert.deepEqual([audit.rows, audit.more], [own.length, false])
        assert.equal(audit.undated + audit.unreadable, own.filter(({ at }) => at === undefined).length)
        assert.deepEqual(audit.times, spanOf(own.flatMap(({ at }) => at ?? [])))
        const ends = own.flatMap((row) => keptUntil(row, holds) ?? [])
        assert.deepEqual([audit.going, audit.keptUntil], [ends.length, spanOf(ends)])
        const counts = <T>(among: readonly T[], isIn: (each: T, row: AuditRow) => boolean, nameOf: (each: T) => string): object[] =>
          among.map((each) => ({ name: nameOf(each), rows: own.filter((row) => isIn(each, row)).length })).filter(({ rows }) => rows > 0)
        assert.deepEqual(
          audit.holds,
          counts(
            holds,
            (hold, row) => hold.keeps(row),
            ({ name }) => name,
          ),
        )
        assert.deepEqual(
          audit.rules.map(({ name, rows }) => ({ name, rows })),
          counts(
            RULES,
            (rule, row) => rulesOf(row).includes(rule),
            ({ name }) => name,
          ),
        )
        const listed = audit.listed.toSorted((a, b) => Number(a.id) - Number(b.id))
        const expected = own
          .toSorted((a, b) => a.id - b.id)
          .map((row): Listed => {
            const end = keptUntil(row, holds)
            return {
              id: String(row.id),
              at: row.at === undefined ? null : new Date(row.at).toISOString(),
              keptUntil: end === undefined ? null : new Date(end).toISOString(),
              holds: holds.filter((hold) => hold.keeps(row)).map(({ name }) => name),
              rules: rulesOf(row).map(({ name }) => name),
            }
          })
        assert.deepEqual(listed, expected)

        for (const name of ['policy_decisions', 'sessions', 'rate_limits', 'api_keys']) {
          const rows = await rowsOf(outside, name, user)
          const { listed: given, ...found } = table(name)
          assert.deepEqual([found.state, found.rows, found.times], ['searched', rows.length, spanOf(rows.map(({ at }) => at))], name)
          const grace = name === 'sessions' ? GRACE_HOURS * HOUR : 0
          const kept = name === 'api_keys' ? [] : rows.map(({ at }) => at + grace)
          assert.deepEqual([found.going, found.keptUntil], [kept.length, spanOf(kept)], name)
          assert.deepEqual(sorted(given), sorted(rows), name)
          assert.equal(found.stays, name === 'api_keys' ? 'until the gateway removes them' : null)
        }
        assert.equal(table('tools').state, 'nameless')
        assert.equal(table('audit_logs_restored').state, 'absent')

        const archived = [...files].flatMap(([path, lines]) => {
          const rows = lines.filter((line) => line['user'] === user).map((line) => byId.get(Number(line['id']))!)
          const everybody = lines.map((line) => byId.get(Number(line['id']))!)
          const keeping = holds.filter((hold) => everybody.some((row) => hold.keeps(row)))
          return rows.length === 0
            ? []
            : [{ path, rows: rows.length, times: spanOf(rows.map(({ at }) => at!)), holds: keeping.map(({ name }) => name) }]
        })
        assert.equal(answer.archive!.filesRead, files.size)
        assert.equal(
          answer.archive!.rows,
          archived.reduce((sum, { rows }) => sum + rows, 0),
        )
        assert.deepEqual(
          answer.archive!.files.map(({ path, rows, times, holds: keepers }) => ({
            path,
            rows,
            times,
            holds: keepers.map(({ name }) => name),
          })),
          archived,
        )
      }

      // Everybody's rows together are the whole table, so the answers foretell every row of it.
      const fates = new Map(
        answers.flatMap(({ tables }) =>
          tables.find(({ table }) => table === 'audit_logs')!.listed.map(({ id, keptUntil: end }) => [Number(id), end] as const),
        ),
      )
      const sessions = new Map(
        answers.flatMap(({ tables }) =>
          tables.find(({ table }) => table === 'sessions')!.listed.map(({ id, keptUntil: end }) => [Number(id), end] as const),
        ),
      )
      const expiries = new Map(
        answers.flatMap(({ archive }) => archive!.files.map(({ path, expiresAt }) => [path, Date.parse(expiresAt!)] as const)),
      )
      const moments = [...fates.values()].flatMap((end) => (end === null ? [] : Date.parse(end))).toSorted((a, b) => a - b)
      const chosen = [0.1, 0.5, 1].map((share) => moments[Math.floor(share * (moments.length - 1))]!)
      const sessionEnds = [...sessions.values()].map((end) => Date.parse(end!)).toSorted((a, b) => a - b)
      const checked = [...chosen, sessionEnds[Math.floor(sessionEnds.length / 2)]!].filter((moment) => moment > now)
      for (const moment of checked.toSorted((a, b) => a - b).flatMap((each) => [each, each + 1])) {
        await runAt(moment)
        const left = (foretold: ReadonlyMap<number, string | null>): readonly number[] =>
          [...foretold].flatMap(([id, end]) => (end !== null && Date.parse(end) < moment ? [] : [id])).toSorted((a, b) => a - b)
        assert.deepEqual(await present(outside, 'audit_logs'), left(fates), `audit_logs at ${moment}`)
        assert.deepEqual(await present(outside, 'sessions'), left(sessions), `sessions at ${moment}`)
        const there = new Set((await archivedRows(folder.path)).keys())
        for (const [path, end] of expiries) {
          const held = answers.some(({ archive }) => archive!.files.some((file) => file.path === path && file.holds.length > 0))
          assert.equal(there.has(path), held || moment < end, `${path} at ${new Date(moment).toISOString()}`)
        }
      }
    },
  )
}
