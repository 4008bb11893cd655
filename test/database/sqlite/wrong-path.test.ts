import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chown, mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { freshSqliteFile } from '../../support/databases.ts'
import { opened } from './opening.ts'

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
        message: `${wrong} does not exist, and ${fresh.file}, whose name differs ${difference}, holds the gateway's tables: nothing was made; correct DATABASE_URL, or, where a new database is meant, make an empty file: touch '${wrong}'`,
      })
      assert.deepEqual(await stateOf(fresh.folder), before)
    })
  }

  it('is one that somebody wants where he has made it, empty', async () => {
    await using fresh = await withGateway()
    await writeFile(join(fresh.folder, 'gateway2.db'), '')
    await using open = await opened(join(fresh.folder, 'gateway2.db'))
    assert.deepEqual(open.told.warnings, [])
  })

  it('is not made either where the gateway has the other one open, with a log', async () => {
    await using fresh = await withGateway()
    using gateway = Object.assign(new BetterSqlite3(fresh.file), { [Symbol.dispose]: () => void gateway.close() })
    gateway.pragma('journal_mode = WAL')
    gateway.exec('BEGIN EXCLUSIVE; INSERT INTO tools VALUES (1)')
    await assert.rejects(opened(join(fresh.folder, 'gatewya.db')), /holds the gateway's tables/)
    gateway.exec('COMMIT')
  })

  it('is named to who only reads, and to who needs one that is there', async () => {
    await using fresh = await withGateway()
    const wrong = join(fresh.folder, 'gateway.sqlite3')
    {
      await using open = await opened(wrong, { access: 'read' })
      assert.match(
        open.told.warnings.join(),
        /does not exist; nothing was made, .*gateway\.db, whose name differs in its extension, holds the gateway's tables/,
      )
    }
    await assert.rejects(opened(wrong, { access: 'existing' }), {
      trouble: 'unreachable',
      message: /does not exist: nothing was made or read; .*gateway\.db/,
    })
    assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
  })
})

describe('a file that is not there', () => {
  it('is made with a warning that names what else lies in its folder', async () => {
    await using fresh = await freshSqliteFile()
    for (const name of ['notes.txt', 'x\u001b[31m\n.db', 'gateway.db-wal']) await writeFile(join(fresh.folder, name), '')
    await using open = await opened(fresh.file)
    assert.deepEqual(open.told.created, [fresh.file])
    assert.deepEqual(open.told.warnings, [
      `${fresh.file} did not exist, and a new, empty database was made: where the gateway keeps its own elsewhere, correct DATABASE_URL. Beside it lie notes.txt, x?[31m?.db`,
    ])
  })

  it('is made beside files of other names, of other programs, and beside what is no database', async () => {
    const others: Readonly<Record<string, (path: string) => unknown>> = {
      'a database of another name': (path) => gatewayIn(join(path, '..', 'production.db')),
      "another program's database": (path) => databaseIn(path, 'CREATE TABLE tools (id); CREATE TABLE notes (id)'),
      'a text': (path) => writeFile(path, 'SQLite format 2\0'),
      'nothing but the first bytes': (path) => writeFile(path, 'SQLite format 3\0'),
      'a damaged one': async (path) => {
        gatewayIn(path)
        const bytes = await readFile(path)
        await writeFile(path, Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xa5)]))
      },
      'a FIFO': (path) => execFileSync('mkfifo', [path]),
      'a folder': (path) => mkdir(path),
      'a link to a device': (path) => symlink('/dev/zero', path),
      'a link to a database of the gateway': async (path) => {
        await mkdir(join(path, '..', 'elsewhere'))
        gatewayIn(join(path, '..', 'elsewhere', 'other.db'))
        await symlink('elsewhere/other.db', path)
      },
    }
    for (const [what, make] of Object.entries(others)) {
      await using fresh = await freshSqliteFile()
      await make(join(fresh.folder, 'gatewaz.db'))
      await using open = await opened(fresh.file)
      assert.deepEqual(open.told.created, [fresh.file], what)
    }
  })

  it('is not made beside a huge one, of which only the beginning is read', async () => {
    await using fresh = await withGateway()
    await truncate(fresh.file, 2 ** 40)
    const before = process.memoryUsage().rss
    await assert.rejects(opened(join(fresh.folder, 'gateway1.db')), /holds the gateway's tables/)
    assert.ok(process.memoryUsage().rss - before < 128 * 2 ** 20)
  })

  it("is made beside another user's", asRoot, async () => {
    await using fresh = await withGateway()
    await chown(fresh.file, NOBODY, NOBODY)
    await using open = await opened(join(fresh.folder, 'gatewax.db'))
    assert.equal(open.told.created.length, 1)
  })

  it('is not made where root makes it for the owner of its folder, whose database lies there', asRoot, async () => {
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
          trouble: 'invalid',
          message: /what SQLite keeps beside a database/,
        })
      assert.equal((await stat(`${fresh.file}${suffix}`)).size, 0)
    })
  }

  it('such as one with a blank at its end, which the driver would leave out', async () => {
    await using fresh = await withGateway()
    await assert.rejects(opened(`${fresh.file} `), { trouble: 'invalid', message: /begins or ends with a blank/ })
  })

  it('but any other is taken as it stands', async () => {
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
  it('is the file that the link leads to: its log, its locks, its folder', async () => {
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

  for (const beside of ['the file', 'the link']) {
    it(`is left to Litestream, which keeps its state beside ${beside}`, async () => {
      await using fresh = await withGateway()
      const links = join(fresh.folder, 'links')
      await mkdir(links)
      const link = join(links, 'link.db')
      await symlink(fresh.file, link)
      const path = beside === 'the file' ? fresh.file : link
      await mkdir(join(path, '..', `.${basename(path)}-litestream`))
      await using open = await opened(link)
      assert.deepEqual((await open.database.query('PRAGMA wal_autocheckpoint')).rows, [{ wal_autocheckpoint: 0 }])
    })
  }

  it('that leads nowhere is refused, and nothing is made there', async () => {
    await using fresh = await freshSqliteFile()
    await symlink('nowhere.db', fresh.file)
    for (const access of ['write', 'existing', 'read'] as const)
      await assert.rejects(opened(fresh.file, { access }), { trouble: 'unreachable', message: /is a link to a file that does not exist/ })
    assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
  })
})

async function withGateway(): ReturnType<typeof freshSqliteFile> {
  const fresh = await freshSqliteFile()
  gatewayIn(fresh.file)
  return fresh
}

function gatewayIn(file: string): void {
  databaseIn(file, 'CREATE TABLE tools (id INTEGER PRIMARY KEY); CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TIMESTAMP)')
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
