import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { FolderStore } from '../../src/archive/store/folder-store.ts'
import { S3Store } from '../../src/archive/store/s3-store.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { Store } from '../../src/archive/store/store.ts'
import { S3Server } from '../support/s3/server.ts'
import { placeAt } from './bucket-place.ts'

/*
 * Where the archives of tests lie: in folders or, with MCP_TEST_ARCHIVE=bucket, in buckets whose objects are the files of such folders. A test names an
 * archive by its folder, and looks at its files and changes them there, wherever it lies.
 */

const CHOSEN = process.env['MCP_TEST_ARCHIVE'] ?? 'folder'
if (CHOSEN !== 'folder' && CHOSEN !== 'bucket') throw new Error(`MCP_TEST_ARCHIVE is neither folder nor bucket: ${CHOSEN}`)

export const ON_BUCKET = CHOSEN === 'bucket'

/** For the `skip` option of a test that says nothing of a bucket. */
export const ABOUT_FOLDERS: string | false = ON_BUCKET && 'is about folders'

/** Of every archive here. */
export const STORE_CLASS = ON_BUCKET ? S3Store : FolderStore

export interface Folder extends AsyncDisposable {
  readonly path: string
}

interface Site {
  readonly server: S3Server
  /** The folder of all objects of its bucket. */
  readonly objects: string
  readonly spool: string
}

/** Few enough for most lists to have several pages. */
const PAGE_SIZE = 10

/** Of the folders that are in use. */
const sites = new Map<string, Site>()

/** An empty folder, in which archives may lie. */
export async function freshFolder(): Promise<Folder> {
  const root = await mkdtemp(join(tmpdir(), 'maintenance-archive-'))
  const removed = (): Promise<void> => rm(root, { recursive: true, force: true })
  if (!ON_BUCKET) return { path: root, [Symbol.asyncDispose]: removed }
  const [objects, spool] = [join(root, 'objects'), join(root, 'spool')]
  const path = join(objects, 'of-tests')
  for (const folder of [path, spool]) await mkdir(folder, { recursive: true })
  const server = await S3Server.start({ buckets: { archive: { folder: objects } }, pageSize: PAGE_SIZE })
  Object.assign(process.env, server.env)
  sites.set(root, { server, objects, spool })
  return {
    path,
    async [Symbol.asyncDispose]() {
      sites.delete(root)
      await server[Symbol.asyncDispose]()
      await removed()
    },
  }
}

function siteOf(directory: string): Site | undefined {
  if (!ON_BUCKET) return undefined
  const site = [...sites.values()].find(({ objects }) => directory.startsWith(`${objects}/`))
  if (site === undefined) throw new Error(`${directory} lies in no fresh folder, so no bucket has it`)
  return site
}

/** As a worker's settings have it. */
export function placeIn(directory: string): ArchivePlace {
  const site = siteOf(directory)
  if (site === undefined) return { directory, uid: process.getuid?.() }
  return placeAt(site.server, site.spool, relative(site.objects, directory))
}

/** The settings of a worker in a process of its own. */
export function settingsIn(directory: string): Readonly<Record<string, string>> {
  const site = siteOf(directory)
  if (site === undefined) return { ARCHIVE_DIRECTORY: directory }
  const { server, spool } = site
  return {
    ARCHIVE_DIRECTORY: placeIn(directory).directory,
    ARCHIVE_S3_ENDPOINT: server.url,
    ARCHIVE_S3_REGION: server.region,
    ARCHIVE_SPOOL: spool,
    ...server.env,
  }
}

export function storeIn(directory: string): Store {
  return storeAt(placeIn(directory), 'audit_logs')
}

/** The folders in which files of an archive lie, whole or being written. */
export function foldersOf(directory: string): readonly string[] {
  const site = siteOf(directory)
  return site === undefined ? [directory] : [directory, site.spool]
}

/** The folder in which files are being written. */
export function spoolIn(directory: string): string {
  return join(foldersOf(directory).at(-1)!, 'audit_logs/.writing')
}

/** The names of the files that are being written. */
export function namesInSpool(directory: string): Promise<string[]> {
  return readdir(spoolIn(directory)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
