import assert from 'node:assert/strict'
import { chmod, chown, mkdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { freshFolder } from '../archive/support.ts'
import { command, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase } from '../support/engines.ts'

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const valid = ajv.compile(JSON.parse(await readFile(new URL('../../docs/doctor.schema.json', import.meta.url), 'utf8')) as object)

interface Document {
  readonly sound: boolean
  readonly findings: readonly { readonly code: string; readonly level: string; readonly sentence: string; readonly action: string | null }[]
  readonly unseen: readonly string[]
  readonly database: { readonly reachable: boolean }
}

function documentIn({ stdout }: Ended): Document {
  const answer: unknown = JSON.parse(stdout)
  assert.ok(valid(answer), `${ajv.errorsText(valid.errors)}\n${stdout}`)
  return answer as Document
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: doctor ends with 0 before and after the migrations and a run, and with 1 once a fault is there, for people and as JSON`, async () => {
    await using database = await engine.fresh()
    const env = { DATABASE_URL: database.url }
    const doctor = (...words: readonly string[]): Promise<Ended> => command(['doctor', ...words], { env })
    const before = await doctor('--json')
    assert.deepEqual([before.code, documentIn(before).sound], [0, true])
    assert.ok(documentIn(before).findings.some(({ code, level }) => code === 'migrations-pending' && level === 'advice'))

    assert.equal((await command(['--run-now'], { env })).code, 0)
    const after = await doctor()
    assert.deepEqual([after.code, after.stderr], [0, ''])
    assert.match(after.stdout, /^No fault was found, (one piece|\d pieces) of advice\n/)

    await database.sql('DROP INDEX idx_audit_logs_timestamp')
    await database.sql('DROP VIEW maintenance_history')
    const faulty = await doctor('--json', '--thorough')
    const { sound, findings } = documentIn(faulty)
    assert.deepEqual([faulty.code, sound], [1, false])
    assert.deepEqual(findings.flatMap(({ code, level }) => (level === 'fault' ? [code] : [])).toSorted(), ['schema-index', 'schema-view'])
    const text = await doctor()
    assert.equal(text.code, 1)
    const lines = text.stdout.split('\n')
    assert.match(lines[0]!, /^2 faults, /)
    for (const { level, sentence, action } of findings) {
      const line = lines.find((each) => each.includes(sentence))
      assert.ok(line?.startsWith(level) === true && line.includes(action ?? ''), `${sentence}\n${text.stdout}`)
    }
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(text.stdout, /[\u0000-\u0009\u000B-\u001F\u007F]/)
  })
}

test('doctor of a server that does not answer ends with 3, and says what it saw without it', async () => {
  await using folder = await freshFolder()
  await mkdir(`${folder.path}/open`)
  await chmod(`${folder.path}/open`, 0o777)
  const env = {
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing',
    DATABASE_CONNECT_TIMEOUT: '0s',
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: `${folder.path}/open`,
  }
  const ended = await command(['doctor', '--json'], { env })
  const { findings, unseen, database } = documentIn(ended)
  assert.deepEqual([ended.code, database.reachable], [3, false])
  assert.deepEqual(
    findings.map(({ code }) => code).filter((code) => code !== 'disk-full'),
    ['database-unreachable', 'archive-access'],
  )
  assert.match(unseen.join(), /cannot be reached/)
  const text = await command(['doctor'], { env })
  assert.equal(text.code, 3)
  assert.match(text.stdout, /^The database cannot be reached\n/)
})

test('doctor with wrong settings ends with 2, and of a file that is no database with 3', async () => {
  await using outside = await sqliteDatabase()
  assert.equal((await command(['doctor'], { env: { DATABASE_URL: outside.url, HTTP_PORT: 'x' } })).code, 2)
  const file = new URL('doctor.test.ts', import.meta.url).pathname
  assert.equal((await command(['doctor'], { env: { DATABASE_URL: `sqlite:///${file}` } })).code, 3)
})

test(
  'doctor as a user who may not enter, or not write to, the archive',
  { skip: process.getuid?.() !== 0 && 'only root may be another user' },
  async () => {
    await using outside = await sqliteDatabase()
    await using folder = await freshFolder()
    const uid = 65_534
    await chown(outside.folder, uid, uid)
    await chmod(folder.path, 0o755)
    for (const [name, mode] of [
      ['closed', 0o700],
      ['readable', 0o755],
    ] as const) {
      await mkdir(`${folder.path}/${name}`)
      await chmod(`${folder.path}/${name}`, mode)
    }
    assert.equal((await command(['migrate'], { env: { DATABASE_URL: outside.url } })).code, 0)
    const codesOf = async (directory: string): Promise<readonly string[]> => {
      const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: directory }
      const { findings } = documentIn(await command(['doctor', '--json'], { env, uid, cwd: '/' }))
      return findings.flatMap(({ code, level }) => (level === 'fault' ? [code] : []))
    }
    assert.deepEqual(await codesOf(`${folder.path}/closed/archive`), ['archive-unreachable'])
    assert.deepEqual(await codesOf(`${folder.path}/closed`), ['archive-unwritable'])
    assert.deepEqual(await codesOf(`${folder.path}/readable/archive`), ['archive-unwritable'])
  },
)
