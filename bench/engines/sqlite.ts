import BetterSqlite3 from 'better-sqlite3'
import { constants } from 'node:fs'
import { copyFile, open, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { auditRow, COLUMNS, RETENTION_MS, stored, valuesOf, writtenAt } from '../audit-rows.ts'
import { migrated } from './migrated.ts'
import { REDUNDANT_INDEX, WITHOUT_REDUNDANT_INDEX, type Copy, type Engine, type Indexes } from './engine.ts'

export function sqliteEngine(folder: string, progress: (step: string) => void): Engine {
  const made = new Map<string, Promise<string>>()
  let copies = 0

  const template = (rows: number, indexes: Indexes): Promise<string> => {
    const name = `${indexes}-${rows}`
    const file = join(folder, `${name}.db`)
    const making =
      made.get(name) ??
      (indexes === 'published' ? filled(file, rows, progress) : template(rows, 'published').then((from) => without(from, file)))
    made.set(name, making)
    return making
  }

  return {
    name: 'sqlite',
    version: `SQLite ${versionOf()}`,
    slowDisk: () => Promise.reject(new Error('SQLite flushes in the process that writes, where nothing delays it')),
    async copy(rows, { indexes = 'published', journal = 'wal' } = {}) {
      const from = await template(rows, indexes)
      const file = join(folder, `copy-${(copies += 1)}.db`)
      await copyFile(from, file, constants.COPYFILE_FICLONE)
      if (journal === 'wal') change(file, 'PRAGMA journal_mode = WAL')
      await written(file)
      return copyAt(file, rows)
    },
    async [Symbol.asyncDispose]() {
      const files = await Promise.allSettled(made.values())
      for (const each of files) if (each.status === 'fulfilled') await removed(each.value)
    },
  }
}

function copyAt(file: string, rows: number): Copy {
  return {
    url: `sqlite:///${file}`,
    rows,
    walBytes: async () => (await stat(`${file}-wal`).catch(() => undefined))?.size ?? 0,
    oldTransaction() {
      const reader = new BetterSqlite3(file)
      reader.exec('BEGIN; SELECT 1 FROM audit_logs LIMIT 1')
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve(void reader.close()) })
    },
    async deleteExpired() {
      change(file, `DELETE FROM audit_logs WHERE timestamp < '${stored(Date.now() - RETENTION_MS)}'; PRAGMA wal_checkpoint(TRUNCATE)`)
      await written(file)
    },
    [Symbol.asyncDispose]: () => removed(file),
  }
}

const ROWS_A_TRANSACTION = 50_000

async function filled(file: string, rows: number, progress: (step: string) => void): Promise<string> {
  progress(`making a database of ${rows.toLocaleString('en')} rows`)
  // An existing empty file allows the program to make a database beside others with nearly the same name.
  await writeFile(file, '')
  await migrated(`sqlite:///${file}`)
  const database = new BetterSqlite3(file)
  try {
    database.exec(`PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; ${REDUNDANT_INDEX}`)
    const insert = database.prepare(`INSERT INTO audit_logs (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`)
    const made = Date.now()
    const insertMany = database.transaction((from: number, to: number) => {
      for (let n = from; n < to; n += 1) insert.run(...valuesOf(auditRow(n), writtenAt(n, rows, made)))
    })
    for (let n = 0; n < rows; n += ROWS_A_TRANSACTION) {
      insertMany(n, Math.min(n + ROWS_A_TRANSACTION, rows))
      await setImmediate() // lets a signal in
    }
  } finally {
    database.close()
  }
  return file
}

async function without(from: string, file: string): Promise<string> {
  await copyFile(from, file, constants.COPYFILE_FICLONE)
  change(file, WITHOUT_REDUNDANT_INDEX)
  return file
}

function change(file: string, sql: string): void {
  const database = new BetterSqlite3(file)
  try {
    database.exec(sql)
  } finally {
    database.close()
  }
}

/** Waits until the file is on disk, so that writing it is not part of the next measurement. */
async function written(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function removed(file: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${file}${suffix}`, { force: true })
}

function versionOf(): string {
  const database = new BetterSqlite3(':memory:')
  try {
    return String(database.prepare('SELECT sqlite_version()').pluck().get())
  } finally {
    database.close()
  }
}
