import assert from 'node:assert/strict'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { diskCalls } from '../../support/disk-calls.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { opened } from './opening.ts'

describe('what is committed on SQLite is on the disk', () => {
  for (const mode of ['WAL', 'DELETE'])
    for (const named of ['the file', 'a link to it'])
      it(`in the journal mode ${mode}, where DATABASE_URL names ${named}`, async () => {
        await using fresh = await freshSqliteFile()
        const links = join(fresh.folder, 'links')
        await mkdir(links)
        {
          await using first = await opened(fresh.file)
          await first.database.query(`PRAGMA journal_mode = ${mode}`)
        }
        const link = join(links, 'link.db')
        await symlink(fresh.file, link)
        await using open = await opened(named === 'the file' ? fresh.file : link)
        await open.database.query('CREATE TABLE t (id)')
        const synced = await diskCalls(() => open.database.durable())
        // With a write-ahead log COMMIT waits for nothing; without one, for all but the removal of the journal from its folder.
        assert.deepEqual(synced, [`sync ${mode === 'WAL' ? `${fresh.file}-wal` : fresh.folder}`])
      })
})
