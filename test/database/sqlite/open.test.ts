import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import type { ErrorKind } from '../../../src/database/database-error.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, NOON, opened, purged, slicesOf } from './opening.ts'

const NOBODY = 65_534
const root = process.getuid?.() === 0
const asRoot = { skip: root ? false : 'needs root, to make files of another user' }

describe('opening a SQLite file', () => {
  it('a missing file is created for owner and group, and reported', async () => {
    await using fresh = await freshSqliteFile()
    const before = process.umask(0o022)
    try {
      await using open = await opened(fresh.file)
      assert.deepEqual(open.told.created, [fresh.file])
      assert.equal((await stat(fresh.file)).mode & 0o777, 0o640)
      assert.deepEqual(open.database.label, { engine: 'sqlite', place: fresh.file, name: 'gateway.db' })
    } finally {
      process.umask(before)
    }
    await using again = await opened(fresh.file)
    assert.deepEqual(again.told.created, [])
  })

  it('a missing file that is only read is not created, and reads as an empty database', async () => {
    await using fresh = await freshSqliteFile()
    {
      await using open = await opened(fresh.file, { access: 'read' })
      assert.match(open.told.warnings.join(), /gateway\.db does not exist/)
      assert.equal((await open.database.relations()).size, 0)
      assert.deepEqual(await open.database.inspect({ table: 'sessions', column: 'expires_at' }), {
        kind: 'absent',
        reason: 'table sessions does not exist',
      })
    }
    assert.deepEqual(await readdir(fresh.folder), [])
  })

  const refusals: readonly (readonly [name: string, kind: ErrorKind, message: RegExp, make: (file: string) => Promise<unknown>])[] = [
    [
      'in a missing folder',
      'unreachable',
      /there is no folder .*gateway\.db\/x\. Nothing was opened\. Create the folder/,
      async (file) => mkdir(dirname(file), { recursive: true }),
    ],
    ['that is a folder', 'invalid', /is a folder/, (file) => mkdir(file)],
    ['that is not a database', 'invalid', /not a database.*Nothing was changed/, (file) => writeFile(file, 'timestamp;user\n'.repeat(100))],
    ['that is damaged', 'invalid', /Nothing was changed/, damaged],
    ['that is a link to nothing', 'unreachable', /link to a file that does not exist/, (file) => symlink('nowhere', file)],
    ['that is a device', 'invalid', /is not a regular file/, (file) => symlink('/dev/null', file)],
    ['below a file', 'unreachable', /cannot be reached/, (file) => writeFile(file, '')],
  ]
  for (const [name, kind, message, make] of refusals) {
    it(`refuses one ${name}`, async () => {
      await using fresh = await freshSqliteFile()
      await make(fresh.file)
      const inside =
        name === 'in a missing folder'
          ? join(fresh.file, 'x', 'gateway.db')
          : name === 'below a file'
            ? join(fresh.file, 'x.db')
            : fresh.file
      await assert.rejects(opened(inside), { name: 'DatabaseError', kind, message })
    })
  }

  it('opening changes neither the journal mode nor anything else of an existing file', async () => {
    for (const mode of ['delete', 'wal']) {
      await using fresh = await freshSqliteFile()
      made(fresh.file, mode)
      await using open = await opened(fresh.file)
      await open.database.transaction((tx) => tx.query("INSERT INTO sessions VALUES (7, 'x')"))
      using other = beside(fresh.file)
      assert.equal(other.pragma('journal_mode', { simple: true }), mode)
    }
  })

  it('foreign keys are enforced and deleted content is overwritten, however the file was created', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { rows } = await open.database.query(
      'SELECT (SELECT foreign_keys FROM pragma_foreign_keys) AS refs, (SELECT secure_delete FROM pragma_secure_delete) AS overwrites',
    )
    assert.deepEqual(rows, [{ refs: 1, overwrites: 1 }])
  })

  it('no trace of a purged token stays in the file', async () => {
    await using fresh = await freshSqliteFile()
    {
      await using open = await opened(fresh.file)
      const { database } = open
      await database.query('CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_token TEXT UNIQUE, expires_at TIMESTAMP)')
      await database.query('CREATE INDEX idx_sessions_expires ON sessions (expires_at)')
      for (let n = 0; n < 200; n++)
        await database.query('INSERT INTO sessions VALUES ($1, $2, $3)', [n, `secret-token-${n}-`, '2026-01-01'])
      assert.equal(await purged(database, database.expired({ table: 'sessions', column: 'expires_at' }, NOON), 70), 200)
    }
    assert.doesNotMatch((await readFile(fresh.file)).toString('latin1'), /secret-token/)
  })

  it('waiting for a lock is reported once, and then that it was in vain', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'delete')
    using gateway = beside(fresh.file)
    gateway.exec('BEGIN EXCLUSIVE')
    setTimeout(() => gateway.exec('COMMIT'), 150)
    await using open = await opened(fresh.file)
    assert.equal(open.told.awaited.length, 1)
    gateway.exec('BEGIN EXCLUSIVE')
    await assert.rejects(opened(fresh.file, { connectTimeoutMs: 100 }), { kind: 'busy' })
    const stop = AbortSignal.timeout(50)
    await assert.rejects(opened(fresh.file, { connectTimeoutMs: 60_000, signal: stop }), { kind: 'busy' })
  })
})

describe('a SQLite file opened to be read', () => {
  for (const mode of ['delete', 'wal']) {
    it(`keeps every byte of the main file, also with a log left behind (journal mode ${mode})`, async () => {
      await using fresh = await freshSqliteFile()
      made(fresh.file, mode)
      const gateway = beside(fresh.file)
      gateway.exec("INSERT INTO sessions SELECT value, '2026-01-01' FROM json_each('[1,2,3,4,5]')")
      const before = await digest(fresh.file)
      const { mtimeNs } = await stat(fresh.file, { bigint: true })
      {
        await using open = await opened(fresh.file, { access: 'read' })
        const { database } = open
        const slices = await slicesOf(database.expired({ table: 'sessions', column: 'expires_at' }, NOON), 2)
        assert.equal(slices.length, 3)
        await database.afterBatch(false)
        await database.pressure()
        await assert.rejects(
          database.transaction((tx) => tx.query('DELETE FROM sessions')),
          { kind: 'read-only' },
        )
        gateway.close()
      }
      assert.equal(await digest(fresh.file), before)
      assert.equal((await stat(fresh.file, { bigint: true })).mtimeNs, mtimeNs)
    })
  }
})

describe("another user's SQLite file", () => {
  it("another user's file is not opened, and the message names both users and what to do", async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal')
    const { uid } = await stat(fresh.file)
    for (const access of ['read', 'write'] as const) {
      await assert.rejects(opened(fresh.file, { access, user: { uid: uid + 4_242 } }), (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'forbidden')
        for (const part of [`uid ${uid}`, `uid ${uid + 4_242}`, 'user: ', 'User=', 'Nothing was opened'])
          assert.ok(error.message.includes(part), part)
        return true
      })
    }
    assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
  })

  it("root may open another user's file, and the files that SQLite creates beside it belong to its owner", asRoot, async () => {
    for (const mode of ['delete', 'wal']) {
      await using fresh = await freshSqliteFile()
      made(fresh.file, mode)
      await chown(fresh.file, NOBODY, NOBODY)
      await using open = await opened(fresh.file)
      await open.database.transaction(async (tx) => {
        await tx.query("INSERT INTO sessions VALUES (7, 'x')")
        const names = await readdir(fresh.folder)
        assert.ok(names.length > 1)
        for (const name of names) {
          const { uid, gid } = await stat(join(fresh.folder, name))
          assert.deepEqual([name, uid, gid], [name, NOBODY, NOBODY])
        }
      })
    }
  })

  it('a file that root creates belongs to the owner of its folder', asRoot, async () => {
    await using fresh = await freshSqliteFile()
    await chown(fresh.folder, NOBODY, 12_345)
    await using open = await opened(fresh.file)
    assert.deepEqual(open.told.created, [fresh.file])
    const { uid, gid } = await stat(fresh.file)
    assert.deepEqual([uid, gid], [NOBODY, 12_345])
  })
})

describe('as an ordinary user, a SQLite file', { skip: root ? false : 'needs root, to become an ordinary user' }, () => {
  it('a file that may not be written is refused for writing and opened for reading', async () => {
    await using fresh = await ordinary()
    made(fresh.file, 'delete')
    await chown(fresh.file, NOBODY, NOBODY)
    await chmod(fresh.file, 0o440)
    assert.match(await asNobody(fresh.file, 'write'), /^read-only: .*gateway\.db cannot be written \(EACCES\)\. Nothing was opened/)
    assert.equal(await asNobody(fresh.file, 'read'), 'opened')
  })

  it('a file in a folder that may not be written is refused for writing', async () => {
    await using fresh = await ordinary()
    made(fresh.file, 'delete')
    await chown(fresh.file, NOBODY, NOBODY)
    await chown(fresh.folder, 0, 0)
    await chmod(fresh.folder, 0o755)
    assert.match(await asNobody(fresh.file, 'write'), /^read-only: .* is in a folder that cannot be written, .* journal/)
    assert.equal(await asNobody(fresh.file, 'read'), 'opened')
    await rm(fresh.file)
    assert.match(await asNobody(fresh.file, 'write'), /^forbidden: .*cannot be created .*EACCES/)
  })

  it('a file that may not be read, or in a folder that may not be entered, is refused', async () => {
    await using fresh = await ordinary()
    made(fresh.file, 'delete')
    await chown(fresh.file, NOBODY, NOBODY)
    await chmod(fresh.file, 0o000)
    assert.match(await asNobody(fresh.file, 'read'), /^forbidden: .*unable to open/)
    await chown(fresh.folder, 0, 0)
    await chmod(fresh.folder, 0o700)
    assert.match(await asNobody(fresh.file, 'read'), /^forbidden: .*cannot be reached/)
  })

  it('a file of root is not opened', async () => {
    await using fresh = await ordinary()
    made(fresh.file, 'delete')
    await chmod(fresh.file, 0o666)
    assert.match(await asNobody(fresh.file, 'write'), /^forbidden: .*belongs to root \(uid 0\), but this runs as \w+ \(uid 65534\)/)
  })
})

async function ordinary(): ReturnType<typeof freshSqliteFile> {
  const fresh = await freshSqliteFile()
  await chown(fresh.folder, NOBODY, NOBODY)
  return fresh
}

/** What opening comes to in a process of that user: `opened`, or the kind of error and its message. */
async function asNobody(file: string, access: 'read' | 'write'): Promise<string> {
  const module = fileURLToPath(new URL('./opening.ts', import.meta.url))
  const script = `
    const { opened } = await import(${JSON.stringify(module)})
    const [file, access] = process.argv.slice(1)
    try {
      await using open = await opened(file, { access, user: { uid: process.getuid() } })
      await open.database.query('SELECT * FROM sessions')
      console.log('opened')
    } catch (error) {
      console.log(error.kind + ': ' + error.message)
    }`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, file, access], {
    uid: NOBODY,
    gid: NOBODY,
  })
  return stdout.trim()
}

function made(file: string, mode: string): void {
  const database = new BetterSqlite3(file)
  database.pragma(`journal_mode = ${mode}`)
  database.exec(
    'CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP); CREATE INDEX idx_sessions_expires ON sessions (expires_at)',
  )
  database.close()
}

async function damaged(file: string): Promise<void> {
  made(file, 'delete')
  const bytes = await readFile(file)
  await writeFile(file, Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xa5)]))
}

async function digest(file: string): Promise<string> {
  return `${basename(file)} ${createHash('sha256')
    .update(await readFile(file))
    .digest('hex')}`
}
