import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import type { Database } from '../../src/database/database.ts'
import type { TestDatabase } from '../support/engines.ts'
import type { S3Server, S3ServerOptions } from '../support/s3/server.ts'
import { freshBucket, PREFIX, verifiedAt } from './bucket-support.ts'
import { freshFolder, idsOf, recordOf } from './support.ts'

/** A place with the archive of one database, and what others may do to it. Paths are below its root. */
export interface Site extends AsyncDisposable {
  readonly place: ArchivePlace
  /** Of a program that archives there. */
  readonly env: Readonly<Record<string, string>>
  /** Of all files but those that are being written, sorted. */
  paths(): Promise<string[]>
  content(path: string): Promise<Buffer>
  put(path: string, content: Buffer | string): Promise<void>
  remove(path: string): Promise<void>
  /** Of files that are being written. */
  drafts(): Promise<string[]>
  /** What is being written is lost, as with its machine. */
  loseSpool(): Promise<void>
}

export interface BucketSite extends Site {
  readonly server: S3Server
}

export const SITES: readonly { readonly kind: 'folder' | 'bucket'; readonly fresh: () => Promise<Site> }[] = [
  { kind: 'folder', fresh: folderSite },
  { kind: 'bucket', fresh: () => bucketSite() },
]

const SPOOL = 'audit_logs/.writing'

export async function folderSite(): Promise<Site> {
  const folder = await freshFolder()
  const { path: root } = folder
  return {
    place: { directory: root, uid: process.getuid?.() },
    env: { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: root },
    paths: async () => (await filesBelow(root)).filter((path) => !path.startsWith(`${SPOOL}/`)),
    content: (path) => readFile(join(root, path)),
    async put(path, content) {
      await mkdir(dirname(join(root, path)), { recursive: true, mode: 0o700 })
      await writeFile(join(root, path), content, { mode: 0o600 })
    },
    remove: (path) => rm(join(root, path)),
    drafts: () => filesBelow(join(root, SPOOL)),
    loseSpool: () => rm(join(root, SPOOL), { recursive: true, force: true }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

function keyOf(path: string): string {
  return `${PREFIX}/${path}`
}

export async function bucketSite(options: S3ServerOptions = {}): Promise<BucketSite> {
  const archive = await freshBucket(options)
  const { place, server, spool } = archive
  const bucket = server.bucket()
  return {
    place,
    server,
    env: {
      ARCHIVE_ENABLED: 'true',
      ARCHIVE_DIRECTORY: place.directory,
      ARCHIVE_S3_ENDPOINT: server.url,
      ARCHIVE_S3_REGION: server.region,
      ARCHIVE_SPOOL: spool,
      ...server.env,
    },
    paths() {
      const keys = bucket.keys().filter((key) => key.startsWith(keyOf('')))
      return Promise.resolve(keys.map((key) => key.slice(keyOf('').length)))
    },
    content(path) {
      const bytes = bucket.bytes(keyOf(path))
      return bytes === undefined ? Promise.reject(new Error(`there is no ${path}`)) : Promise.resolve(bytes)
    },
    put: (path, content) => Promise.resolve(void bucket.put(keyOf(path), Buffer.from(content), Date.now())),
    remove: (path) => Promise.resolve(void bucket.remove(keyOf(path), Date.now())),
    drafts: () => filesBelow(join(spool, SPOOL)),
    loseSpool: () => rm(spool, { recursive: true, force: true }),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted()
}

/** Of the files of rows that are part of the archive, or may be. */
export async function rowFilesAt(site: Site): Promise<string[]> {
  return (await site.paths()).filter((path) => path.endsWith('.ndjson.zst') && !path.startsWith('reconciled/'))
}

/** The rows of those files, as a JSON parser returns them. */
export async function rowsAt(site: Site): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for (const path of await rowFilesAt(site)) {
    const text = zstdDecompressSync(await site.content(path)).toString()
    for (const line of text.split('\n').slice(0, -1)) rows.push(JSON.parse(line) as Record<string, unknown>)
  }
  return rows
}

/** Everything that lies there, to be compared. */
export async function contentsOf(site: Site): Promise<Readonly<Record<string, string>>> {
  const paths = await site.paths()
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, (await site.content(path)).toString('base64')] as const)))
}

/** Each of these rows, and no other, is in exactly one file of a sound archive, and none is in the table; nothing is pending. */
export async function archivedOnceAt(site: Site, database: Database, outside: TestDatabase, ids: readonly number[]): Promise<void> {
  assert.deepEqual(
    (await rowsAt(site)).map((row) => Number(row['id'])).toSorted((a, b) => a - b),
    ids.toSorted((a, b) => a - b),
  )
  const given = new Set(ids)
  assert.deepEqual(
    (await idsOf(outside)).filter((id) => given.has(id)),
    [],
  )
  const { problems } = await verifiedAt(site.place, database)
  assert.deepEqual([problems, (await recordOf(database).load(database)).step], [[], undefined])
}
