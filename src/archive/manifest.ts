import { FORMAT, type Link, type Manifest, type Place, type RowsFile, type Source } from './format.ts'
import { dayOf, holdsRows, parsePath, positionOf, rowsOf, tableOf, type ArchivePath } from './path.ts'

/** What a removal names are so many files at most; no table has more columns. */
const MOST_LINKS = 1_000
const MOST_COLUMNS = 2_000

/**
 * Reads the manifest that lies at a place. `undefined`: it is none of this format, or it does not belong there: what it says of its own path, its
 * number, its day and its file has to agree with the place, so that a file is what its place says. Only fields of the format are kept.
 */
export function parseManifest(bytes: Uint8Array, at: ArchivePath): Manifest | undefined {
  try {
    return manifestOf(object(JSON.parse(Buffer.from(bytes).toString())), at)
  } catch {
    return undefined
  }
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
    program: text(given['program']),
    written: text(given['written']),
  }
  if (kind === 'rows') return { ...common, kind, file: fileOf(object(given['file']), at) }
  if (kind === 'removal') return { ...common, kind, removed: list(given['removed'], MOST_LINKS).map((each) => linkOf(each, table)) }
  if (kind === 'reconciled') {
    const [joined, setAside] = [given['joined'], given['setAside']].map((links) =>
      list(links, MOST_LINKS).map((each) => linkOf(each, table)),
    )
    return { ...common, kind, joined: joined!, setAside: setAside! }
  }
  throw new Error('of no kind that is known')
}

function fileOf(given: Fields, manifest: ArchivePath): RowsFile {
  const path = rowsOf(manifest)
  if (given['path'] !== path || given['day'] !== dayOf(path)) throw new Error('of another file')
  return {
    path,
    day: dayOf(path),
    columns: list(given['columns'], MOST_COLUMNS).map((each) => {
      const { name, type, key } = object(each)
      if (typeof key !== 'boolean') throw new Error('not a column')
      return { name: text(name), type: text(type), key }
    }),
    rows: count(given['rows']),
    bytes: count(given['bytes']),
    rowsSha256: digest(given['rowsSha256']),
    fileBytes: count(given['fileBytes']),
    fileSha256: digest(given['fileSha256']),
    first: placeOf(object(given['first'])),
    last: placeOf(object(given['last'])),
    cutoff: text(given['cutoff']),
    retention: count(given['retention']),
  }
}

/** A link of the chain, wherever it stands: the place of a manifest and its SHA-256. */
export function linkOf(given: unknown, table: string): Link {
  const { manifest, sha256 } = object(given)
  const path = parsePath(manifest, table)
  if (path === undefined || holdsRows(path)) throw new Error('not the place of a manifest')
  return { manifest: path, sha256: digest(sha256) }
}

function sourceOf({ table, timeColumn, engine, database }: Fields): Source {
  return { table: text(table), timeColumn: text(timeColumn), engine: text(engine), database: text(database) }
}

function placeOf({ time, id }: Fields): Place {
  return { time: text(time), id: text(id) }
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

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error('not text')
  return value
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error('not a count')
  return value
}

function digest(value: unknown): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) throw new Error('not a SHA-256')
  return value
}
