import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { RowsManifest } from '../../src/archive/format.ts'

export function manifestOf(rows: string): string {
  return rows.replace('.ndjson.zst', '.json')
}

export async function manifestAt(directory: string, path: string): Promise<RowsManifest> {
  return JSON.parse(await readFile(join(directory, path), 'utf8')) as RowsManifest
}

export function sumOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export interface ForgedRows {
  readonly bytes: Buffer
  readonly lines: string
}

/** Compressed rows with changed content, each as long as the row that it is made from. */
export function forgedFrom(rows: Buffer): ForgedRows {
  const lines = zstdDecompressSync(rows).toString().replaceAll('"user":"u"', '"user":"x"')
  return { lines, bytes: zstdCompressSync(lines) }
}

export async function forgedRows(file: string): Promise<ForgedRows> {
  return forgedFrom(await readFile(file))
}

type Forgery = Partial<RowsManifest> & { readonly lines: string; readonly like: RowsManifest }

/** A file of rows with a manifest that agrees with it in everything, so that only its author is in doubt. */
export function forgedFile(
  rows: string,
  { lines, like, ...changes }: Forgery,
): { readonly bytes: Buffer; readonly manifest: RowsManifest } {
  const bytes = zstdCompressSync(lines)
  const path = manifestOf(rows)
  const manifest = {
    ...like,
    position: Number(/-(\d+)\.json$/.exec(path)![1]),
    ...changes,
    manifest: path,
    file: {
      ...like.file,
      path: rows,
      day: rows.slice('audit_logs/'.length, 'audit_logs/2026/01/01'.length).replaceAll('/', '-'),
      rows: lines.split('\n').length - 1,
      bytes: Buffer.byteLength(lines),
      rowsSha256: sumOf(lines),
      fileBytes: bytes.length,
      fileSha256: sumOf(bytes),
    },
  } as unknown as RowsManifest
  return { bytes, manifest }
}

export function manifestTextOf(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/** Writes such a file and its manifest. */
export async function plant(directory: string, rows: string, forgery: Forgery): Promise<RowsManifest> {
  const { bytes, manifest } = forgedFile(rows, forgery)
  await mkdir(join(directory, dirname(rows)), { recursive: true })
  await writeFile(join(directory, rows), bytes)
  await writeFile(join(directory, manifest.manifest), manifestTextOf(manifest))
  return manifest
}
