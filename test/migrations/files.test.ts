import assert from 'node:assert/strict'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MaintenanceError } from '../../src/errors.ts'
import { canonicalText, readMigrationFiles, refuseBadFiles } from '../../src/migrations/migration-files.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function problemsOf(files: Record<string, string | Uint8Array>): Promise<string[]> {
  await using root = await folderWith(files)
  try {
    refuseBadFiles(await readMigrationFiles(root.path))
    return []
  } catch (error) {
    assert.ok(error instanceof MaintenanceError && error.code === 'MIGRATION_FILES_INVALID', String(error))
    return error.message.split('\n')
  }
}

async function folderWith(files: Record<string, string | Uint8Array>): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'maintenance-files-'))
  await mkdir(join(path, 'migrations'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, 'migrations', name), content)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const GOOD = { '001_a.sql': 'SELECT 1;', '001_a_sqlite.sql': 'SELECT 1;' }

describe('a folder of migration files', () => {
  const cases: [string, Record<string, string | Uint8Array>, RegExp[]][] = [
    ['without a migration is refused', { 'README.md': '' }, [/^migrations holds no migration$/]],
    ['with a stray .sql file is refused', { ...GOOD, 'notes.sql': '' }, [/^migrations\/notes\.sql is not named like a migration/]],
    ['with an upper-case name is refused', { ...GOOD, '002_Add.sql': '' }, [/^migrations\/002_Add\.sql is not named/]],
    ['with a capital suffix is refused', { ...GOOD, '002_add.SQL': '' }, [/^migrations\/002_add\.SQL is not named/]],
    ['with nothing but the suffix for a name is refused', { ...GOOD, '002_sqlite.sql': '' }, [/^migrations\/002_sqlite\.sql is not named/]],
    ['with a short number is refused', { ...GOOD, '2_add.sql': '' }, [/^migrations\/2_add\.sql is not named/]],
    [
      'with a gap is refused, once a gap',
      { ...GOOD, '005_b.sql': '', '005_b_sqlite.sql': '', '1000000000_c.sql': '', '1000000000_c_sqlite.sql': '' },
      [/^migrations has no migration 002: /, /^migrations has no migration 006: /],
    ],
    ['that begins at 002 is refused', { '002_a.sql': '', '002_a_sqlite.sql': '' }, [/^migrations has no migration 001: /]],
    ['with a number 000 is refused', { ...GOOD, '000_z.sql': '' }, [/^migrations\/000_z\.sql: numbers begin at 001$/]],
    [
      'with one number twice is refused',
      { ...GOOD, '002_b.sql': '', '002_b_sqlite.sql': '', '002_c.sql': '', '002_c_sqlite.sql': '' },
      [/^migrations has more than one migration 002: 002_b\.sql, 002_b_sqlite\.sql, 002_c\.sql, 002_c_sqlite\.sql/],
    ],
    ['with one number in two spellings is refused', { ...GOOD, '0001_a.sql': '' }, [/more than one migration 001: 0001_a\.sql, 001_a/]],
    [
      'with twins of different names is refused',
      { '001_a.sql': '', '001_b_sqlite.sql': '' },
      [/more than one migration 001: 001_a\.sql, 001_b_sqlite\.sql/],
    ],
    ['without the SQLite twin is refused', { '001_a.sql': '' }, [/^migrations\/001_a\.sql has no twin .*: 001_a_sqlite\.sql is missing$/]],
    ['without the PostgreSQL twin is refused', { '001_a_sqlite.sql': '' }, [/: 001_a\.sql is missing$/]],
    [
      'with bytes that are not UTF-8 is refused',
      { ...GOOD, '001_a.sql': new Uint8Array([0x2d, 0x2d, 0xff]) },
      [/001_a\.sql is not UTF-8$/, /twin/],
    ],
    [
      'that would leave out a transaction on SQLite is refused',
      {
        '001_a.sql': '-- @no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);',
        '001_a_sqlite.sql': '-- @no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS i;',
      },
      [/^migrations\/001_a_sqlite\.sql must not have @no-transaction, /],
    ],
    [
      'tells every problem at once, with line and column',
      { ...GOOD, '001_a.sql': '-- first\n  COMMIT;\nSELECT 1;\n\\echo x\n', '001_a_sqlite.sql': 'VACUUM' },
      [
        /^migrations\/001_a\.sql:2:3 COMMIT is not allowed/,
        /^migrations\/001_a\.sql:4:1 a psql command/,
        /^migrations\/001_a_sqlite\.sql:1:1 VACUUM is not allowed/,
      ],
    ],
    [
      'tells every problem of its names at once',
      { ...GOOD, 'x.sql': '', 'y.sql': '', '003_b.sql': '' },
      [
        /^migrations\/x\.sql is not named/,
        /^migrations\/y\.sql is not named/,
        /^migrations has no migration 002/,
        /^migrations\/003_b\.sql has no twin/,
      ],
    ],
  ]
  for (const [name, files, expected] of cases) {
    it(name, async () => {
      const problems = await problemsOf(files)
      assert.equal(problems.length, expected.length, problems.join('\n'))
      for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? '', pattern)
    })
  }

  it('a folder that does not exist is refused', async () => {
    await assert.rejects(readMigrationFiles(join(tmpdir(), 'no-such-package')), { code: 'MIGRATION_FILES_INVALID' })
  })

  it('files are read in the order of their numbers, not of their names', async () => {
    const series = Array.from({ length: 11 }, (_, index) => `${String(index + 1).padStart(index === 9 ? 4 : 3, '0')}_m`)
    await using root = await folderWith(
      Object.fromEntries(
        series.flatMap((stem) => [
          [`${stem}.sql`, ''],
          [`${stem}_sqlite.sql`, ''],
        ]),
      ),
    )
    const versions = (await readMigrationFiles(root.path)).map(({ version }) => version)
    assert.deepEqual(
      versions,
      [...Array(11).keys()].flatMap((index) => [index + 1, index + 1]),
    )
  })

  it("the project's own migrations are valid", async () => {
    const files = await readMigrationFiles(fileURLToPath(new URL('../..', import.meta.url)))
    refuseBadFiles(files)
    assert.deepEqual(
      files.slice(0, 2).map(({ version, name, stem, path }) => ({ version, name, stem, path })),
      [
        { version: 1, name: 'initial_schema', stem: '001_initial_schema', path: 'migrations/001_initial_schema.sql' },
        { version: 1, name: 'initial_schema', stem: '001_initial_schema', path: 'migrations/001_initial_schema_sqlite.sql' },
      ],
    )
  })
})

describe('the canonical text', () => {
  it('the canonical text is the same for every checkout and editor', async () => {
    const spellings = [
      'SELECT 1;\nSELECT 2;\n',
      'SELECT 1;\r\nSELECT 2;\r\n',
      '\uFEFFSELECT 1;\r\nSELECT 2;',
      'SELECT 1;\rSELECT 2;\n\n \t\n',
    ]
    for (const spelling of spellings) assert.equal(canonicalText(bytes(spelling)), 'SELECT 1;\nSELECT 2;\n')
    const checksums = new Set<string>()
    for (const spelling of spellings) {
      await using root = await folderWith({ '001_a.sql': spelling, '001_a_sqlite.sql': '' })
      checksums.add((await readMigrationFiles(root.path))[0]?.checksum ?? '')
    }
    assert.deepEqual([...checksums], ['82efb67f3010c6eb7ead02e4f6d9550633dbc1407f99aa487468e7b2567aebbc'])
  })

  it('the canonical text keeps inner white space, and a second byte order mark', () => {
    assert.equal(canonicalText(bytes('\uFEFF\uFEFFa  \n\tb')), '\uFEFFa  \n\tb\n')
  })
})
