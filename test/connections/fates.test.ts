import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { LIBPQ_PARAMETERS, unsupported, type Parameter } from '../../src/database/url/libpq-parameters.ts'
import { command } from '../support/command.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { sqliteDatabase } from '../support/engines.ts'

const SECRET = 'op3n-Sesame!'
const refused = LIBPQ_PARAMETERS.filter(({ fate }) => fate === 'refused')
const ignored = LIBPQ_PARAMETERS.filter(({ fate }) => fate === 'ignored')
const DRY = ['--run-now', '--dry-run', '--job', 'purge-sessions'] as const
/** What others call variables of theirs; and two that the driver reads. */
const OTHERS = {
  PGID: '1000',
  PGDATA: '/var/lib/postgresql/data',
  PGADMIN_SETUP_EMAIL: 'a@example.com',
  PGBACKREST_REPO: '1',
  PGCLUSTER: '15/main',
  PG_COLOR: 'always',
  PGREPLICATION: 'true',
  PGBINARY: 'true',
}

let database: FreshPostgres
before(async () => {
  database = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url } })).code, 0)
})
after(() => database[Symbol.asyncDispose]())

/** One that is not harmless. */
function valueOf(parameter: Parameter): string {
  assert.notEqual(unsupported(parameter, SECRET), undefined)
  return SECRET
}

describe('a parameter that is refused', { concurrency: 4 }, () => {
  for (const parameter of refused) {
    const { keyword, variable, harmless = [] } = parameter
    const refusal = async (env: Readonly<Record<string, string>>, name: string): Promise<void> => {
      const { code, stdout, stderr } = await command(DRY, { env })
      assert.equal(code, 2, stdout)
      assert.match(stderr, new RegExp(`\\b${name}\\b.* is not supported: `))
      assert.doesNotMatch(stdout + stderr, new RegExp(SECRET))
    }
    if (keyword !== undefined)
      test(`${keyword} in the URL`, () =>
        refusal({ DATABASE_URL: `${database.url}?${keyword}=${encodeURIComponent(valueOf(parameter))}` }, keyword))
    if (variable === undefined) continue
    test(variable, () => refusal({ DATABASE_URL: database.url, [variable]: valueOf(parameter) }, variable))
    if (harmless.length === 0) continue
    test(`${variable} is not, where it says what happens anyway`, async () => {
      const ran = await command(DRY, { env: { DATABASE_URL: database.url, [variable]: harmless[0]! } })
      assert.equal(ran.code, 0, ran.stdout + ran.stderr)
      assert.doesNotMatch(ran.stdout, new RegExp(variable))
    })
  }
})

async function noted(env: Readonly<Record<string, string>>, names: readonly string[]): Promise<void> {
  const ran = await command(DRY, { env })
  assert.equal(ran.code, 0, ran.stdout + ran.stderr)
  const notes = ran.lines.map(({ msg }) => String(msg)).filter((msg) => msg.includes(' is ignored: '))
  const byName = notes.map((note) => note.split(' ', 1)[0]!)
  assert.deepEqual(byName.toSorted(), names.toSorted())
  assert.doesNotMatch(ran.stdout + ran.stderr, new RegExp(SECRET))
}

describe('parameters that are ignored', () => {
  test('each leaves one note where the URL gives it', () => {
    const keywords = ignored.flatMap(({ keyword }) => (keyword === undefined ? [] : [keyword]))
    const query = keywords.map((keyword) => `${keyword}=${encodeURIComponent(SECRET)}`).join('&')
    return noted({ DATABASE_URL: `${database.url}?${query}` }, keywords)
  })

  test('each leaves one note where a variable gives it', () => {
    const variables = ignored.flatMap(({ variable }) => (variable === undefined ? [] : [variable]))
    return noted({ DATABASE_URL: database.url, ...Object.fromEntries(variables.map((name) => [name, SECRET])) }, variables)
  })
})

describe('variables that are nobody’s business', () => {
  test('those that merely begin with PG change nothing', async () => {
    const env = { DATABASE_URL: database.url }
    for (const words of [DRY, ['--run-now'], ['status']]) {
      const [plain, among] = [await command(words, { env }), await command(words, { env: { ...env, ...OTHERS } })]
      assert.equal(among.code, 0, among.stdout + among.stderr)
      assert.equal(steady(among.stdout + among.stderr), steady(plain.stdout + plain.stderr))
    }
  })

  test('for SQLite none is read', async () => {
    await using sqlite = await sqliteDatabase()
    const all = Object.fromEntries(LIBPQ_PARAMETERS.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, SECRET]])))
    const env = { DATABASE_URL: sqlite.url }
    await command(['migrate'], { env })
    for (const words of [DRY, ['status'], ['config']]) {
      const [plain, among] = [await command(words, { env }), await command(words, { env: { ...env, ...all, ...OTHERS } })]
      assert.equal(among.code, 0, among.stdout + among.stderr)
      assert.equal(steady(among.stdout + among.stderr), steady(plain.stdout + plain.stderr))
    }
  })
})

/** Without times, and the digests of receipts, which have times in them. */
function steady(text: string): string {
  return text
    .replaceAll(/.*(?:next|last) run.*/g, '')
    .replaceAll(/"sha256":"[0-9a-f]{64}"/g, '"sha256":D')
    .replaceAll(/\d+(?:\.\d+)?/g, 'N')
}
