import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { EARLIER_TEXTS } from '../../src/migrations/earlier-texts.ts'
import { readMigrationFiles, type MigrationFile } from '../../src/migrations/migration-files.ts'
import { planMigrations } from '../../src/migrations/plan.ts'
import { PACKAGE_ROOT } from './support.ts'

type Checksums = Readonly<Record<string, string>>
type Summed = Pick<MigrationFile, 'fileName' | 'version' | 'checksum'>

const LIST = 'test/migrations/released.json'
const files = await readMigrationFiles(PACKAGE_ROOT)
const released: Checksums = JSON.parse(await readFile(new URL('released.json', import.meta.url), 'utf8'))
const changelog = await readFile(`${PACKAGE_ROOT}CHANGELOG.md`, 'utf8')

/** A version with a heading of its own is released. From the first on the list holds every file that a release had, and none of them changes. */
function problemsOf(given: readonly Summed[], listed: Checksums, log: string): string[] {
  if (!/^## \[\d+\.\d+\.\d+\]/m.test(log)) {
    const early = `nothing is released yet, so ${LIST} is empty: files may still be mended in place`
    return Object.keys(listed).length === 0 ? [] : [early]
  }
  const newest = Math.max(...given.filter(({ fileName }) => fileName in listed).map(({ version }) => version))
  if (newest === -Infinity) {
    const list = JSON.stringify(Object.fromEntries(given.map(({ fileName, checksum }) => [fileName, checksum])), null, 2)
    return [`the changelog has a release: from now on no migration file changes. Write into ${LIST}:\n${list}`]
  }
  return [
    ...Object.keys(listed).flatMap((name) =>
      given.some(({ fileName }) => fileName === name) ? [] : [`${name} was released and is gone: bring it back`],
    ),
    ...given.flatMap(({ fileName, version, checksum }) => {
      if (version > newest || listed[fileName] === checksum) return []
      return [`${fileName} is not as it was released: restore it, and put the change into a new migration`]
    }),
  ]
}

const made = (version: number, checksum: string): Summed => ({ fileName: `${version}.sql`, version, checksum })

describe('migration files after a release', () => {
  it('released files are unchanged', () => assert.deepEqual(problemsOf(files, released, changelog), []))

  const log = '# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2027-01-01\n'

  it('files may not be listed before the first release', () => {
    assert.deepEqual(problemsOf([made(1, 'a')], {}, '## [Unreleased]\n'), [])
    assert.match(problemsOf([made(1, 'a')], { '1.sql': 'a' }, '## [Unreleased]\n').join(), /^nothing is released yet/)
  })
  it('files must be listed with the first release', () =>
    assert.match(problemsOf([made(1, 'a')], {}, log).join(), /Write into .*\n.*\n {2}"1\.sql": "a"/))
  it('released files may be followed by new ones', () =>
    assert.deepEqual(problemsOf([made(1, 'a'), made(2, 'b')], { '1.sql': 'a' }, log), []))
  it('a released file may not change', () =>
    assert.match(problemsOf([made(1, 'b')], { '1.sql': 'a' }, log).join(), /^1\.sql is not as it was released/))
  it('a released file may not be removed', () =>
    assert.match(problemsOf([made(2, 'b')], { '1.sql': 'a', '2.sql': 'b' }, log).join(), /^1\.sql was released and is gone/))
  it('a file may not be inserted before a released one', () =>
    assert.match(problemsOf([made(1, 'a'), made(2, 'b')], { '2.sql': 'b' }, log).join(), /^1\.sql is not as/))
})

describe('databases that were migrated with texts of before the first release', () => {
  const applied = { appliedAt: 0, durationMs: 1, appVersion: '0.1.0' }

  for (const [index, suffix] of ['', '_sqlite'].entries()) {
    const own = files.filter((file) => file.suffix === suffix)
    const history = own.flatMap(({ version, name }) => {
      const checksum = EARLIER_TEXTS[version]?.[index]
      return checksum === undefined ? [] : [{ version, name, checksum, ...applied }]
    })

    it(`databases with earlier texts are accepted, and later files are applied (files *${suffix}.sql)`, () => {
      assert.equal(history.length, 5)
      assert.deepEqual(planMigrations(own, history), { kind: 'ready', pending: own.filter(({ version }) => version > 5) })
    })

    it(`a number with the earlier text of another is refused (files *${suffix}.sql)`, () => {
      const swapped = history.map((row) => ({ ...row, checksum: history[0]!.checksum }))
      const plan = planMigrations(own, swapped)
      assert.equal(plan.kind === 'refused' && plan.problems.length, 4)
    })
  }
})
