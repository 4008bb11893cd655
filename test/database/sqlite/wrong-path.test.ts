import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chown, mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { neighboursOf } from '../../../src/database/sqlite/connection/neighbours.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, opened } from './opening.ts'

const NOBODY = 65_534
const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root, to make files of another user' }

/** What a name of the gateway's file becomes by a slip: the file is `gateway.db`. */
const SLIPS = {
  'Gateway.DB': 'in capital and small letters',
  'gateway.sqlite': 'in its extension',
  gateway: 'in its extension',
  'gateway.db3': 'in its extension',
  'gatewy.db': 'in a character or two',
  'gateways.db': 'in a character or two',
  'gatweay.db': 'in a character or two',
  'gateway.bd': 'in its extension',
}

describe('a file that is not there, where the gateway has one of nearly its name', () => {
  for (const [slip, difference] of Object.entries(SLIPS)) {
    it(`is not made: ${slip}`, async () => {
      await using fresh = await withGateway()
      const wrong = join(fresh.folder, slip)
      const before = await stateOf(fresh.folder)
      await assert.rejects(opened(wrong), {
        name: 'DatabaseError',
        code: 'DATABASE_UNREACHABLE',
        message: `${wrong} does not exist, and ${fresh.file}, whose name differs ${difference}, holds the gateway's tables. Nothing was created. Correct DATABASE_URL or, if you want a new database, create an empty file: touch '${wrong}'`,
      })
      assert.deepEqual(await stateOf(fresh.folder), before)
    })
  }

  it('the file itself, which another worker has made a moment ago, is no similar one', async () => {
    await using fresh = await withGateway()
    assert.equal((await neighboursOf(fresh.file, process.getuid?.())).likely, undefined)
  })

  it('an empty file that somebody has created is used', async () => {
    await using fresh = await withGateway()
    await writeFile(join(fresh.folder, 'gateway2.db'), '')
    await using open = await opened(join(fresh.folder, 'gateway2.db'))
    assert.deepEqual(open.told.warnings, [])
  })

  it('a file is not created either while the gateway has the similar one open, with a log', async () => {
    await using fresh = await withGateway()
    using gateway = Object.assign(new BetterSqlite3(fresh.file), { [Symbol.dispose]: () => void gateway.close() })
    gateway.pragma('journal_mode = WAL')
    gateway.exec('BEGIN EXCLUSIVE; INSERT INTO tools VALUES (1)')
    await assert.rejects(opened(join(fresh.folder, 'gatewya.db')), /holds the gateway's tables/)
    gateway.exec('COMMIT')
  })

  it('the similar file is named to a reader, and to a command that needs an existing file', async () => {
    await using fresh = await withGateway()
    const wrong = join(fresh.folder, 'gateway.sqlite3')
    {
      await using open = await opened(wrong, { access: 'read' })
      assert.match(
        open.told.warnings.join(),
        /does not exist and is treated as empty\. Nothing was created\. .*gateway\.db, whose name differs in its extension, holds the gateway's tables/,
      )
    }
    await assert.rejects(opened(wrong, { access: 'existing' }), {
      kind: 'unreachable',
      message: /does not exist\. Nothing was created or read\. .*gateway\.db/,
    })
    assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
  })
})

describe('a neighbour of nearly the name, as it lies there while the gateway works', () => {
  it('a similar file is recognised by its log if its tables are only there yet', async () => {
    await using fresh = await freshSqliteFile()
    using gateway = beside(fresh.file)
    gateway.pragma('journal_mode = WAL')
    gateway.exec(GATEWAY)
    assert.equal((await stat(fresh.file)).size, 4096)
    await assertNotMade(fresh.folder, 'Gateway.db', /whose name differs in capital and small letters, holds the gateway's tables/)
  })

  it('a similar file is recognised by its log through a link, and if the log is long', async () => {
    await using fresh = await freshSqliteFile()
    const real = join(fresh.folder, 'real')
    await mkdir(real)
    using gateway = beside(join(real, 'data.db'))
    gateway.pragma('journal_mode = WAL')
    gateway.pragma('wal_autocheckpoint = 0')
    gateway.exec(`${GATEWAY}; INSERT INTO audit_logs (timestamp) VALUES (zeroblob(${20 * 2 ** 20}))`)
    await symlink('real/data.db', fresh.file)
    await assertNotMade(fresh.folder, 'gateway.sqlite', /holds the gateway's tables/)
  })

  it("a similar file counts as the gateway's if its log is longer than is read and names none of its tables", async () => {
    await using fresh = await freshSqliteFile()
    using other = beside(fresh.file)
    other.pragma('journal_mode = WAL')
    other.pragma('wal_autocheckpoint = 0')
    other.exec(`CREATE TABLE notes (a); INSERT INTO notes VALUES (zeroblob(${20 * 2 ** 20})); ${GATEWAY}`)
    await assertNotMade(fresh.folder, 'gateway.sqlite', /cannot be read completely and may hold the gateway's tables/)
  })

  it('a similar file is recognised by the journal of an interrupted transaction', async () => {
    await using fresh = await freshSqliteFile()
    const copy = join(fresh.folder, 'copy')
    {
      using gateway = beside(copy)
      gateway.exec(GATEWAY)
      gateway.exec('BEGIN; DROP TABLE tools; DROP TABLE audit_logs')
      gateway.exec('CREATE TABLE zeros (a); INSERT INTO zeros SELECT zeroblob(4000) FROM pragma_function_list')
      gateway.pragma('cache_spill = 1')
      await writeFile(`${fresh.file}-journal`, await readFile(`${copy}-journal`))
      gateway.exec('COMMIT; VACUUM')
    }
    await rename(copy, fresh.file)
    const journal = await readFile(`${fresh.file}-journal`)
    assert.ok(journal.includes('tabletoolstools'))
    await assertNotMade(fresh.folder, 'gateway.sqlite', /holds the gateway's tables/)
  })

  for (const encoding of ['UTF-8', 'UTF-16le', 'UTF-16be'])
    it(`is known where its schema lies behind thousands of pages of rows: ${encoding}`, async () => {
      await using fresh = await freshSqliteFile()
      databaseIn(
        fresh.file,
        `PRAGMA encoding = '${encoding}'; CREATE TABLE rows (a); INSERT INTO rows VALUES (zeroblob(${20 * 2 ** 20})); ${manyTables}; ${GATEWAY}`,
      )
      assert.ok(!(await readFile(fresh.file)).subarray(0, 16 * 2 ** 20).includes('audit_logs'))
      await assertNotMade(fresh.folder, 'gateway.sqlite', /gateway\.db, whose name differs in its extension, holds the gateway's tables/)
    })

  for (const [how, damage] of Object.entries({
    'its first page is damaged': (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xa5)]),
    'its first page is cut short': (bytes: Buffer) => bytes.subarray(0, 1000),
    'a page of its schema is gone': (bytes: Buffer) => bytes.subarray(0, 3 * 4096),
    'its size of a page is none': (bytes: Buffer) => Buffer.from(bytes).fill(0, 16, 18),
  }))
    it(`counts as the gateway's where ${how}`, async () => {
      await using fresh = await freshSqliteFile()
      databaseIn(fresh.file, `${manyTables}; ${GATEWAY}`)
      await writeFile(fresh.file, damage(await readFile(fresh.file)))
      await assertNotMade(fresh.folder, 'gateway.sqlite', /cannot be read completely and may hold the gateway's tables/)
    })

  it('a similar file is recognised through one or two links', async () => {
    await using fresh = await freshSqliteFile()
    await mkdir(join(fresh.folder, 'elsewhere'))
    gatewayIn(join(fresh.folder, 'elsewhere', 'data.db'))
    await symlink('data.db', join(fresh.folder, 'elsewhere', 'link.db'))
    await symlink('elsewhere/link.db', fresh.file)
    await assertNotMade(fresh.folder, 'gatewaz.db', /gateway\.db, whose name differs in a character or two, holds the gateway's tables/)
  })
})

/** What was asked for, what lies there. */
const SPELLINGS = [
  ['my%20gateway%20data.db', 'my gateway data.db', 'in how its characters are written'],
  ['my gateway data.db', 'my%20gateway%20data.db', 'in how its characters are written'],
  ['my+gateway+audit+data.db', 'my gateway audit data.db', 'in how its characters are written'],
  ['my-gateway-audit-data.db', 'my_gateway_audit_data.db', 'in how its characters are written'],
  ['%67%61%74eway.sqlite', 'gateway.db', 'in how its characters are written'],
  ['data%2Fgateway.db', 'data/gateway.db', 'in how its characters are written'],
  ['data\\gateway.db', 'data/gateway.db', 'in how its characters are written'],
  ['gate', 'gate?way.db', 'in what follows it'],
  ['gateway.db#production', 'gateway.db', 'in what follows it'],
  ['gateway.db&mode=rw', 'gateway.db', 'in what follows it'],
  ['gateway.db.db', 'gateway.db', 'in its extension'],
  ['gateway.db', 'gateway.db.db', 'in its extension'],
  ['gateway.db.sqlite3', 'gateway.db', 'in its extension'],
  ['gateway.db.backup', 'gateway.db', 'in its extension'],
  ['g\u00e4t\u00e9w\u00e4y.db', 'ga\u0308te\u0301wa\u0308y.db', 'in capital and small letters'],
] as const

describe("a name that is another spelling of the gateway's", () => {
  for (const [wanted, there, difference] of SPELLINGS)
    it(`is not made: ${wanted} beside ${there}`, async () => {
      await using fresh = await freshSqliteFile()
      await mkdir(join(fresh.folder, 'data'))
      gatewayIn(join(fresh.folder, there))
      await assertNotMade(
        fresh.folder,
        wanted,
        `${join(fresh.folder, there)}, whose name differs ${difference}, holds the gateway's tables`,
      )
    })

  it('a file with a really different name is created', async () => {
    for (const name of ['production.db', '%zz.db', '%00.db', '%2F', 'gate.db', 'gateway.production.db']) {
      await using fresh = await withGateway()
      await using open = await opened(join(fresh.folder, name))
      assert.deepEqual(open.told.created, [join(fresh.folder, name)])
    }
  })

  it('the shown command quotes the file as one word, and creates it', async () => {
    await using fresh = await freshSqliteFile()
    gatewayIn(join(fresh.folder, "it's $(gateway).db"))
    const wanted = join(fresh.folder, "it's $(gateway).sqlite")
    const error = await opened(wanted).then(
      () => assert.fail('it was made'),
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof Error)
    execFileSync('sh', ['-c', /touch .*$/.exec(error.message)![0]])
    assert.equal((await stat(wanted)).size, 0)
  })
})

describe('a file of another program', () => {
  const PLACES =
    'CREATE TABLE moz_places (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE "moz\n" (id); CREATE VIRTUAL TABLE words USING fts5 (a)'

  it("another program's file is used with one warning that names some of its tables", async () => {
    await using fresh = await freshSqliteFile()
    databaseIn(fresh.file, PLACES)
    await using open = await opened(fresh.file)
    assert.deepEqual(open.told.warnings, [
      `${fresh.file} has tables of another program (moz?, moz_places, words) and none of the gateway's. The migrations create theirs beside them. If the gateway's database is elsewhere, stop the worker and correct DATABASE_URL.`,
    ])
  })

  it('a warning about many tables names only some', async () => {
    await using fresh = await freshSqliteFile()
    databaseIn(fresh.file, manyTables)
    await using open = await opened(fresh.file)
    assert.match(open.told.warnings.join(), / and 390 more\) and none of the gateway's/)
  })

  it("a reader is not warned of another program's file", async () => {
    await using fresh = await freshSqliteFile()
    databaseIn(fresh.file, PLACES)
    for (const access of ['read', 'existing'] as const) {
      await using open = await opened(fresh.file, { access })
      assert.deepEqual(open.told.warnings, [])
    }
  })

  it("a file with one of the gateway's tables, or without any, is not another program's", async () => {
    for (const sql of ['CREATE TABLE alembic_version (a); CREATE TABLE Tools (id)', 'CREATE TABLE a (id); DROP TABLE a']) {
      await using fresh = await freshSqliteFile()
      databaseIn(fresh.file, sql)
      await using open = await opened(fresh.file)
      assert.deepEqual(open.told.warnings, [])
    }
  })
})

describe('a file that is not there', () => {
  it('a new file is created with a warning that names what else its folder holds', async () => {
    await using fresh = await freshSqliteFile()
    for (const name of ['notes.txt', 'x\u001b[31m\n.db', 'gateway.db-wal']) await writeFile(join(fresh.folder, name), '')
    await using open = await opened(fresh.file)
    assert.deepEqual(open.told.created, [fresh.file])
    assert.deepEqual(open.told.warnings, [
      `${fresh.file} did not exist, so a new, empty database was created. If the gateway's database is elsewhere, correct DATABASE_URL. Its folder also holds notes.txt, x?[31m?.db.`,
    ])
  })

  it('a file is created beside files of other names, of other programs, and beside files that are not databases', async () => {
    const open: BetterSqlite3.Database[] = []
    const others: Readonly<Record<string, (path: string) => unknown>> = {
      'a database of another name': (path) => gatewayIn(join(path, '..', 'production.db')),
      "another program's database": (path) => databaseIn(path, 'CREATE TABLE tools (id); CREATE TABLE notes (id)'),
      'a text': (path) => writeFile(path, 'SQLite format 2\0'),
      'nothing but the first bytes': (path) => writeFile(path, 'SQLite format 3\0'),
      'a FIFO': (path) => execFileSync('mkfifo', [path]),
      'a folder': (path) => mkdir(path),
      'a link to a device': (path) => symlink('/dev/zero', path),
      'a link to nothing': (path) => symlink('nothing.db', path),
      'a link to itself': (path) => symlink(basename(path), path),
      "a link to another program's database": async (path) => {
        await mkdir(join(path, '..', 'elsewhere'))
        databaseIn(join(path, '..', 'elsewhere', 'other.db'), 'CREATE TABLE notes (id)')
        await symlink('elsewhere/other.db', path)
      },
      "another program's with a log, whose rows name tables": (path) => {
        databaseIn(path, 'PRAGMA journal_mode = WAL; CREATE TABLE notes (a)')
        const other = new BetterSqlite3(path)
        other.exec("INSERT INTO notes VALUES ('CREATE TABLE audit_logs (id); CREATE TABLE tools (id); CREATE TABLE sessions (id)')")
        open.push(other)
      },
      "another program's with thousands of tables": (path) => databaseIn(path, manyTables),
    }
    for (const [what, make] of Object.entries(others)) {
      await using fresh = await freshSqliteFile()
      await make(join(fresh.folder, 'gatewaz.db'))
      await using made = await opened(fresh.file)
      assert.deepEqual(made.told.created, [fresh.file], what)
    }
    for (const other of open) other.close()
  })

  it('a file is not created beside a huge similar one, of which only the beginning is read', async () => {
    await using fresh = await withGateway()
    await truncate(fresh.file, 2 ** 40)
    const before = process.memoryUsage().rss
    await assert.rejects(opened(join(fresh.folder, 'gateway1.db')), /holds the gateway's tables/)
    assert.ok(process.memoryUsage().rss - before < 128 * 2 ** 20)
  })

  it('a file is created beside a similar one of another user', asRoot, async () => {
    await using fresh = await withGateway()
    await chown(fresh.file, NOBODY, NOBODY)
    await using open = await opened(join(fresh.folder, 'gatewax.db'))
    assert.equal(open.told.created.length, 1)
  })

  it('root does not create a file for the owner of a folder that holds a similar database of that owner', asRoot, async () => {
    await using fresh = await withGateway()
    for (const path of [fresh.file, fresh.folder]) await chown(path, NOBODY, NOBODY)
    await assert.rejects(opened(join(fresh.folder, 'gatewax.db')), /holds the gateway's tables/)
  })
})

describe('names that are no name of a database', () => {
  for (const suffix of ['-wal', '-shm', '-journal']) {
    it(`such as that of a file ${suffix}, also an empty one`, async () => {
      await using fresh = await withGateway()
      await writeFile(`${fresh.file}${suffix}`, '')
      for (const access of ['write', 'read'] as const)
        await assert.rejects(opened(`${fresh.file}${suffix}`, { access }), {
          kind: 'invalid',
          message: /a file that SQLite keeps beside a database/,
        })
      assert.equal((await stat(`${fresh.file}${suffix}`)).size, 0)
    })
  }

  it('a name that ends with a space, which the driver would trim, is refused', async () => {
    await using fresh = await withGateway()
    await assert.rejects(opened(`${fresh.file} `), { kind: 'invalid', message: /begins or ends with a space/ })
  })

  it('any other name is taken literally', async () => {
    for (const name of ['file:x.db?mode=memory', 'a?b.db', '100%25.db', ':memory:']) {
      await using fresh = await freshSqliteFile()
      const file = join(fresh.folder, name)
      await using open = await opened(file)
      await open.database.query('CREATE TABLE t (id)')
      assert.deepEqual(await readdir(fresh.folder), [name])
    }
  })
})

describe('a database behind a link', () => {
  it('a database behind a link is the file that the link leads to, with its log, locks and folder', async () => {
    await using fresh = await withGateway()
    const links = join(fresh.folder, 'links')
    await mkdir(links)
    await symlink(fresh.file, join(links, 'link.db'))
    await using open = await opened(join(links, 'link.db'))
    await open.database.query('PRAGMA journal_mode = WAL')
    await open.database.query('INSERT INTO tools VALUES (1)')
    await open.database.durable()
    assert.deepEqual(await readdir(links), ['link.db'])
    assert.ok((await readdir(fresh.folder)).includes('gateway.db-wal'))
    await rename(join(links, 'link.db'), join(links, 'gone.db'))
    assert.equal((await open.database.query('SELECT id FROM tools')).rows.length, 1)
  })

  for (const place of ['the file', 'the link']) {
    it(`is left to Litestream, which keeps its state beside ${place}`, async () => {
      await using fresh = await withGateway()
      const links = join(fresh.folder, 'links')
      await mkdir(links)
      const link = join(links, 'link.db')
      await symlink(fresh.file, link)
      const path = place === 'the file' ? fresh.file : link
      await mkdir(join(path, '..', `.${basename(path)}-litestream`))
      await using open = await opened(link)
      assert.deepEqual((await open.database.query('PRAGMA wal_autocheckpoint')).rows, [{ wal_autocheckpoint: 0 }])
    })
  }

  it('a dangling link is refused, and nothing is created there', async () => {
    await using fresh = await freshSqliteFile()
    await symlink('nowhere.db', fresh.file)
    for (const access of ['write', 'existing', 'read'] as const)
      await assert.rejects(opened(fresh.file, { access }), {
        kind: 'unreachable',
        message: /is a symbolic link to a file that does not exist/,
      })
    assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
  })
})

async function withGateway(): ReturnType<typeof freshSqliteFile> {
  const fresh = await freshSqliteFile()
  gatewayIn(fresh.file)
  return fresh
}

const GATEWAY = 'CREATE TABLE tools (id INTEGER PRIMARY KEY); CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TIMESTAMP)'

/** A schema of more pages than one. */
const manyTables = `BEGIN; ${Array.from({ length: 400 }, (_, at) => `CREATE TABLE table_number_${at} (a)`).join(';')}; COMMIT`

function gatewayIn(file: string): void {
  databaseIn(file, GATEWAY)
}

async function assertNotMade(folder: string, wanted: string, why: RegExp | string): Promise<void> {
  const before = await stateOf(folder)
  await assert.rejects(opened(join(folder, wanted)), (error: Error) => {
    assert.equal('kind' in error && error.kind, 'unreachable')
    if (typeof why === 'string') assert.ok(error.message.includes(why), error.message)
    else assert.match(error.message, why)
    return true
  })
  assert.deepEqual(await stateOf(folder), before)
}

function databaseIn(file: string, sql: string): void {
  const database = new BetterSqlite3(file)
  database.exec(sql)
  database.close()
}

async function stateOf(folder: string): Promise<unknown> {
  const names = (await readdir(folder)).toSorted()
  return Promise.all(
    names.map(async (name) => ({
      name,
      ...(await stat(join(folder, name), { bigint: true })),
      atime: undefined,
      atimeMs: undefined,
      atimeNs: undefined,
    })),
  )
}
