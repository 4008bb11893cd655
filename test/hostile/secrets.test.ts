import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { globSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { Client } from 'pg'
import { freshFolder } from '../archive/support.ts'
import { command, start, type Ended } from '../support/command.ts'
import { freshPostgres, serverUrl, type FreshPostgres } from '../support/databases.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { ROLE_WITH_PASSWORD } from '../support/postgres-server.ts'

const MAJOR = 18

/** Words of the program's own output, and what breaks a search. */
const PASSWORDS = [
  'postgres',
  'audit',
  'engine',
  '1',
  'true',
  '2026',
  'UTC',
  ':',
  '***',
  '$&',
  '.*',
  'permission denied for table sessions',
  'purge-audit-logs',
  'пароль',
  'x'.repeat(2_000),
  `T0o l0ng? %41 %2541 & + / # @ ! "q" 's' \\n`,
  'gate2way_role',
]

/** Nothing of it can be taken for a word. */
const RANDOM = randomBytes(24).toString('hex')

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const validStatus = ajv.compile(JSON.parse(await readFile(new URL('../../docs/status.schema.json', import.meta.url), 'utf8')) as object)

/** A migrated database with something to purge, archive and fail at; each password gets a copy. */
let template: FreshPostgres
let server: Client
const mark = randomBytes(4).toString('hex')
const role = `gate2way_role_${mark}`

before(async () => {
  template = await freshPostgres(MAJOR)
  const migrated = await command(['migrate'], { env: { DATABASE_URL: template.url } })
  assert.equal(migrated.code, 0, migrated.stdout)
  await template.admin.query(`CREATE ROLE ${role} LOGIN;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${role};
    REVOKE DELETE ON sessions FROM ${role};
    INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
      SELECT 't', 'u', 'a', 's', now() - days * interval '1 day' FROM generate_series(1, 95) AS days;
    INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('u', 'r', 'a', 'allow', now() - interval '1 day')`)
  await template.admin.end()
  server = new Client({ connectionString: serverUrl(MAJOR) })
  await server.connect()
})

after(async () => {
  await server.query(`DROP DATABASE ${template.name} WITH (FORCE)`)
  await server.query(`DROP ROLE ${role}`)
  await server.end()
})

interface Seen {
  /** What was printed, by what was done. */
  readonly printed: Readonly<Record<string, string>>
  /** What was left in files and tables. */
  readonly left: string
  readonly statuses: readonly unknown[]
}

/** Everything the program does, with this password in its URL and in what the server says. */
async function seenWith(password: string): Promise<Seen> {
  const name = `secrets_${mark}_${randomBytes(4).toString('hex')}`
  await server.query(`CREATE DATABASE ${name} TEMPLATE ${template.name} STRATEGY file_copy`)
  const admin = new Client({ connectionString: Object.assign(new URL(serverUrl(MAJOR)), { pathname: `/${name}` }).href })
  await admin.connect()
  await using folder = await freshFolder()
  try {
    const said = `no way to postgresql://gateway:${encodeURIComponent(password)}@broker/x, password='${password.replaceAll("'", "''")}'`
    const also = password === RANDOM ? ` with ${RANDOM} or ${encodeURIComponent(RANDOM)}` : ''
    await admin.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
        RAISE EXCEPTION USING MESSAGE = ${admin.escapeLiteral(said + also)}, HINT = 'look';
      END $body$;
      CREATE TRIGGER refuse BEFORE DELETE ON policy_decisions FOR EACH ROW EXECUTE FUNCTION refuse();
      GRANT CONNECT, TEMPORARY ON DATABASE ${name} TO ${role}`)
    const { host } = new URL(serverUrl(MAJOR))
    const options = encodeURIComponent(`-c app.key=${password.slice(0, 500).replaceAll(/[\s\\]/g, '\\$&')}`)
    const url = (user: string, at: string): string => `postgresql://${user}:${encodeURIComponent(password)}@${at}/${name}`
    const env = {
      DATABASE_URL: `${url(role, host)}?options=${options}&api_key=${encodeURIComponent(password.slice(0, 500))}`,
      DATABASE_CONNECT_TIMEOUT: '1s',
      ARCHIVE_ENABLED: 'true',
      ARCHIVE_DIRECTORY: join(folder.path, 'archive'),
      METRICS_TEXTFILE: join(folder.path, 'x.prom'),
      HEALTH_FILE: join(folder.path, 'alive'),
      HTTP_ENABLED: 'true',
      HTTP_PORT: '0',
    }
    const [run, lockedOut] = await Promise.all([
      command(['--run-now'], { env }),
      command(['status', '--json'], { env: { ...env, DATABASE_URL: url(ROLE_WITH_PASSWORD.name, host) } }),
    ])
    const ran: Record<string, Ended> = { run, 'locked out': lockedOut }
    const rest: readonly (readonly [what: string, words: readonly string[], also?: Readonly<Record<string, string>>])[] = [
      ['nobody there', ['--run-now'], { DATABASE_URL: url('postgres', '127.0.0.1:1') }],
      ['dry run', ['migrate', '--dry-run'], { LOG_FORMAT: 'pretty' }],
      ['status', ['status']],
      ['history', ['history', '--json']],
      ['config', ['config']],
    ]
    // None of them writes.
    await Promise.all(rest.map(async ([what, words, more]) => (ran[what] = await command(words, { env: { ...env, ...more } }))))
    const worker = start([], { env: { ...env, SCHEDULE_CATCH_UP: 'false' } })
    const at = String((await worker.line((line) => line['event'] === 'http.listening'))['url'])
    await worker.line((line) => line['event'] === 'migrations.current')
    const pages: Record<string, string> = {}
    for (const path of ['/', '/status', '/metrics', '/readyz']) pages[path] = await (await fetch(`${at}${path}`)).text()
    worker.kill('SIGTERM')
    const { stdout, stderr } = await worker.ended
    const written = globSync('**/*', { cwd: folder.path, withFileTypes: true }).filter(
      (entry) => entry.isFile() && !entry.name.endsWith('.zst'),
    )
    const files = await Promise.all(written.map((entry) => readFile(join(entry.parentPath, entry.name), 'utf8')))
    const tables = ['maintenance_runs', 'maintenance_leases', 'maintenance_archives', 'maintenance_archived', 'maintenance_history']
    const rows: string[] = []
    for (const table of tables) rows.push(JSON.stringify((await admin.query(`SELECT * FROM ${table}`)).rows))
    return {
      printed: Object.fromEntries(
        Object.entries({
          ...Object.fromEntries(Object.entries(ran).map(([what, ended]) => [what, `${ended.code}\n${ended.stdout}\n${ended.stderr}`])),
          ...pages,
          worker: `${stdout}\n${stderr}`,
        }).map(([what, text]) => [
          what,
          steady(text.replaceAll(name, 'DATABASE').replaceAll(role, 'ROLE').replaceAll(folder.path, 'FOLDER')),
        ]),
      ),
      left: [...files, ...rows].join('\n'),
      statuses: [JSON.parse(lockedOut.stdout), JSON.parse(pages['/status']!)],
    }
  } finally {
    await admin.end()
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
  }
}

/** Without what is another one every time; where a figure is taken for a password, something else stands in its place. */
function steady(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{16,64}/g, 'N')
    .replaceAll(/\d+(?:[.:,]\d+)*(?:e[+-]?\d+)?/g, 'N')
    .replaceAll(/N ?(?:ms|s|min|m|h|d|B|kB|MB|KiB|MiB)\b/g, 'N')
    .replaceAll('just now', 'N ago')
    .replaceAll(/ {2,}/g, ' ')
    .replaceAll(/─+|▇+/g, '─')
    .replaceAll(/N(?: N)+/g, 'N')
}

let referred: Promise<Seen> | undefined
const reference = (): Promise<Seen> => (referred ??= seenWith(RANDOM))

/** What is left of a secret that the server says by itself. */
const ALSO_SAID = ' with *** or ***'

describe('passwords', () => {
  it('unmistakable passwords appear in no output, no file and no table', async () => {
    const other = await reference()
    const everything = `${Object.values(other.printed).join('\n')}\n${other.left}`
    assert.doesNotMatch(everything, new RegExp(RANDOM))
    assert.match(other.printed['run']!, new RegExp(`Run: GRANT DELETE ON \\\\"public\\\\"\\.\\\\"sessions\\\\" TO `))
    assert.match(other.printed['run']!, /no way to postgresql:\/\/gateway:\*\*\*@broker\/x, password=\*\*\* with \*\*\* or \*\*\* \(look\)/)
    assert.match(other.printed['locked out']!, /password authentication failed for user \\"with_password\\"/)
    assert.match(other.printed['nobody there']!, /ECONNREFUSED/)
    assert.match(other.printed['config']!, /:\*\*\*@N\/DATABASE\?options=\*\*\*/)
    assert.ok(other.left.includes('"outcome":"failed"') && other.left.includes('archive'), other.left)
  })

  for (const password of PASSWORDS)
    it(`such as ${password.slice(0, 40)} leave the output as it is with any other`, async () => {
      const other = await reference()
      const seen = await seenWith(password)
      for (const status of seen.statuses) assert.ok(validStatus(status), ajv.errorsText(validStatus.errors))
      for (const [what, text] of Object.entries(seen.printed)) assert.equal(text, other.printed[what]!.replaceAll(ALSO_SAID, ''), what)
    })

  it("a password from PGPASSWORD that is also the name of the schema is not masked in the server's messages", async () => {
    const schema = `gw2prod${mark}x`
    const name = `secrets_${mark}_schema`
    await server.query(`CREATE DATABASE ${name}`)
    const admin = new Client({ connectionString: Object.assign(new URL(serverUrl(MAJOR)), { pathname: `/${name}` }).href })
    await admin.connect()
    try {
      await admin.query(`CREATE SCHEMA ${schema}`)
      const url = `postgresql://${role}@${new URL(serverUrl(MAJOR)).host}/${name}`
      const said: string[] = []
      for (const password of [schema, RANDOM]) {
        const { code, stdout, stderr } = await command(['--run-now'], {
          env: { DATABASE_URL: url, PGPASSWORD: password, DATABASE_SCHEMA: schema },
        })
        assert.notEqual(code, 0)
        assert.match(stdout, new RegExp(`schema .*${schema}`))
        said.push(steady(`${stdout}${stderr}`))
      }
      assert.equal(said[0], said[1])
    } finally {
      await admin.end()
      await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
    }
  })

  it('passwords in the ignored query of a SQLite URL appear nowhere', async () => {
    await using database = await sqliteDatabase()
    const env = { DATABASE_URL: `${database.url}?key=${RANDOM}&password=${RANDOM}` }
    for (const words of [['--run-now'], ['status', '--json'], ['config'], ['config', '--json']]) {
      const { code, stdout, stderr } = await command(words, { env })
      assert.equal(code, 0, stdout)
      assert.doesNotMatch(`${stdout}${stderr}`, new RegExp(RANDOM))
    }
  })

  it('passwords in a URL that cannot be read, or that is given for another setting, appear nowhere', async () => {
    await using folder = await freshFolder()
    const file = join(folder.path, 'x.yaml')
    await writeFile(file, `database:\n  url: *postgresql://u:${RANDOM}@h/db\n`)
    const url = `postgresql://u:${RANDOM}@h/db`
    const cases: readonly (readonly [words: readonly string[], env: Readonly<Record<string, string>>])[] = [
      [[url], {}],
      [['--job', url, '--run-now'], {}],
      [[`--database-url=${url}`], {}],
      [['archive', url], {}],
      [['archive', 'restore', '--from', url], {}],
      [['history', '--since', url], {}],
      [['config', '--config', url], {}],
      [['config', '--config', file], {}],
      [['config'], { DATABASE_URL: `${url}@h/x` }],
      [['config'], { DATABASE_URL: `host=h password=${RANDOM}` }],
      [['config'], { DATABASE_URL: `mysql://u:${RANDOM}@h/db` }],
      [['config'], { DATABASE_URL_FILE: url }],
      [['config'], { MAINTENANCE_CONFIG: url }],
      [['config'], { LOG_LEVEL: url }],
      [['config'], { ARCHIVE_DIRECTORY: url }],
    ]
    for (const [words, env] of cases) {
      const { code, stdout, stderr } = await command(words, { env, cwd: folder.path })
      assert.equal(code, 2, `${words.join(' ')} ${stdout}`)
      assert.doesNotMatch(`${stdout}${stderr}`, new RegExp(RANDOM))
      assert.doesNotMatch(stderr, /^ +at /m)
    }
  })
})
