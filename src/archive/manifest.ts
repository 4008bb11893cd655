import type { StoredColumn } from '../database/exporting.ts'
import { damaged, archiveFailed } from './damage.ts'
import {
  MOST_LINKS,
  MOST_NAMED,
  sha256,
  LONGEST,
  MOST_COLUMNS,
  MOST_MANIFEST_BYTES,
  FORMAT,
  textOf,
  type DescribedFile,
  type Kept,
  type KeptFile,
  type Link,
  type Manifest,
  type Place,
  type Source,
} from './format.ts'
import { dayOf, holdsRows, parsePath, positionOf, rowsOf, tableOf, type ArchivePath } from './store/path.ts'
import type { Shelf } from './store/store.ts'

/**
 * Parses the manifest found at a path. `undefined`: it is not of this format, or does not belong there: its own path, number, day and file
 * must match the path, so that a file is what its path says. Only fields of the format are kept, and texts no longer than the writer makes
 * them, because a folder may hold any number of manifests.
 */
export function parseManifest(bytes: Uint8Array, at: ArchivePath): Manifest | undefined {
  try {
    return manifestOf(object(JSON.parse(Buffer.from(bytes).toString())), at)
  } catch {
    return undefined
  }
}

/** The text of a manifest. Rejects one that could not be read back, so that no row is deleted for it. */
export function manifestText(manifest: Manifest): string {
  const text = textOf(manifest)
  const bytes = Buffer.from(text)
  if (bytes.length > MOST_MANIFEST_BYTES || parseManifest(bytes, manifest.manifest) === undefined)
    throw archiveFailed(
      `the description of the rows of ${manifest.source.table} does not fit into a manifest: ${MOST_COLUMNS} columns, names and types of ${LONGEST.column} ` +
        `characters and ${MOST_MANIFEST_BYTES} bytes are the most`,
    )
  return text
}

export function kept(manifest: Manifest): Kept {
  switch (manifest.kind) {
    case 'rows': {
      const { columns: _, ...file } = manifest.file
      return { ...manifest, file }
    }
    case 'removal':
      return { ...manifest, removed: manifest.removed.map((link) => link.manifest) }
    case 'reconciled':
      return manifest
  }
}

/** The columns of the file that a link describes. */
export async function columnsOf(shelf: Shelf, { manifest: path, sha256: sum }: Link): Promise<readonly StoredColumn[]> {
  const bytes = await shelf.read(path)
  const manifest = bytes === undefined || sha256(bytes) !== sum ? undefined : parseManifest(bytes, path)
  if (manifest?.kind !== 'rows') throw damaged(`${shelf.absolute(path)} was altered while it was read`)
  return manifest.file.columns
}

function manifestOf(given: Fields, at: ArchivePath): Manifest {
  const table = tableOf(at)
  const { kind } = given
  if (given['format'] !== FORMAT || given['manifest'] !== at || given['position'] !== positionOf(at)) throw new Error('not of this place')
  const source = sourceOf(object(given['source']))
  if (source.table !== table) throw new Error('of another table')
  const common = {
    format: FORMAT,
    manifest: at,
    position: positionOf(at),
    previous: given['previous'] === null ? null : linkOf(given['previous'], table),
    source,
    run: count(given['run']),
    program: shortText(given['program'], LONGEST.word),
    written: shortText(given['written'], LONGEST.time),
  }
  if (kind === 'rows') return { ...common, kind, file: fileOf(object(given['file']), at) }
  if (kind === 'removal') {
    const removed = list(given['removed'], MOST_LINKS).map((each) => linkOf(each, table))
    // Earlier versions wrote no list of kept files, and do not read it.
    if (given['kept'] === undefined) return { ...common, kind, removed }
    return { ...common, kind, removed, kept: list(given['kept'], MOST_LINKS).map((each) => keptFileOf(each, table)) }
  }
  if (kind === 'reconciled') {
    const [joined, setAside] = [given['joined'], given['setAside']].map((links) =>
      list(links, MOST_LINKS).map((each) => linkOf(each, table)),
    )
    return { ...common, kind, joined: joined!, setAside: setAside! }
  }
  throw new Error('of no kind that is known')
}

function fileOf(given: Fields, manifest: ArchivePath): DescribedFile {
  const path = rowsOf(manifest)
  if (given['path'] !== path || given['day'] !== dayOf(path)) throw new Error('of another file')
  return {
    path,
    day: dayOf(path),
    columns: list(given['columns'], MOST_COLUMNS).map((each) => {
      const { name, type, key } = object(each)
      if (typeof key !== 'boolean') throw new Error('not a column')
      return { name: shortText(name, LONGEST.column), type: shortText(type, LONGEST.column), key }
    }),
    rows: count(given['rows']),
    bytes: count(given['bytes']),
    rowsSha256: digest(given['rowsSha256']),
    fileBytes: count(given['fileBytes']),
    fileSha256: digest(given['fileSha256']),
    ...(given['fileMd5'] === undefined ? {} : { fileMd5: digest(given['fileMd5'], MD5) }),
    first: placeOf(object(given['first'])),
    last: placeOf(object(given['last'])),
    cutoff: time(given['cutoff']),
    retention: count(given['retention']),
  }
}

/** Parses a link: the path of a manifest and its SHA-256. */
export function linkOf(given: unknown, table: string): Link {
  const { manifest, sha256: sum } = object(given)
  return { manifest: manifestPathOf(manifest, table), sha256: digest(sum) }
}

function keptFileOf(given: unknown, table: string): KeptFile {
  const { manifest, holds } = object(given)
  return { manifest: manifestPathOf(manifest, table), holds: list(holds, MOST_NAMED).map((name) => shortText(name, LONGEST.hold)) }
}

function manifestPathOf(given: unknown, table: string): ArchivePath {
  const path = parsePath(given, table)
  if (path === undefined || holdsRows(path)) throw new Error('not the place of a manifest')
  return path
}

function sourceOf({ table, timeColumn, engine, database }: Fields): Source {
  return {
    table: shortText(table, LONGEST.word),
    timeColumn: shortText(timeColumn, LONGEST.word),
    engine: shortText(engine, LONGEST.word),
    database: shortText(database, LONGEST.database),
  }
}

function placeOf({ time: at, id }: Fields): Place {
  return { time: shortText(at, LONGEST.time), id: shortText(id, LONGEST.id) }
}

type Fields = Readonly<Record<string, unknown>>

function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is an object
  return value as Fields
}

function list(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) throw new Error('not a list')
  return value
}

function shortText(value: unknown, most: number): string {
  if (typeof value !== 'string' || value.length > most) throw new Error('not text')
  return value
}

/** Must parse as a time: the rows of a file are looked up by it. */
function time(value: unknown): string {
  const given = shortText(value, LONGEST.time)
  if (Number.isNaN(Date.parse(given))) throw new Error('not a time')
  return given
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error('not a count')
  return value
}

const SHA256 = /^[0-9a-f]{64}$/
const MD5 = /^[0-9a-f]{32}$/

function digest(value: unknown, form = SHA256): string {
  if (typeof value !== 'string' || !form.test(value)) throw new Error('not a digest')
  return value
}
