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

/** Compressed rows with changed content, each as long as the row that it is made from. */
export async function forgedRows(file: string): Promise<{ readonly bytes: Buffer; readonly lines: string }> {
  const lines = zstdDecompressSync(await readFile(file))
    .toString()
    .replaceAll('"user":"u"', '"user":"x"')
  return { lines, bytes: zstdCompressSync(lines) }
}

/** Writes a file of rows with a manifest that agrees with it in everything, so that only its author is in doubt. */
export async function plant(
  directory: string,
  rows: string,
  { lines, like, ...changes }: Partial<RowsManifest> & { readonly lines: string; readonly like: RowsManifest },
): Promise<RowsManifest> {
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
  await mkdir(join(directory, dirname(rows)), { recursive: true })
  await writeFile(join(directory, rows), bytes)
  await writeFile(join(directory, path), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}
