import { constants } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../errors.ts'
import { openOwn, syncFolder } from '../files.ts'
import { sizeText } from '../number-text.ts'

/** Readable by others: the collector of node_exporter runs as a different user. */
const MODE = 0o644
/** Our metrics need a few thousandths of this. */
const MOST_BYTES = 2 ** 24

/**
 * Writes metrics in Prometheus' text format for the textfile collector of node_exporter. The file is complete at every moment: it is written beside its
 * target and renamed. It is durable when this resolves. Counters continue from the values in the file, because a process that runs once would otherwise
 * start at 0 each time and never show an increase. Rejects if the file cannot be written or is not a regular file, and leaves it unchanged. `writer` distinguishes processes.
 */
export async function writeTextfile(path: string, text: string, writer: string): Promise<void> {
  const beside = `${path}.${writer.replaceAll(/[^\w.-]/g, '-')}`
  const before = await readBefore(path)
  // Removes what a killed process of the same name left behind. Anything else of that name is not written through.
  await rm(beside, { force: true })
  try {
    const file = await open(beside, 'wx', MODE)
    try {
      await fill(file, continued(text, before))
    } finally {
      await file.close()
    }
    await rename(beside, path)
    // Otherwise a counter that was scraped could fall back to its earlier value, which Prometheus would take for a restart from 0.
    await syncFolder(dirname(path)).catch(unreadable)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw error
  }
}

/** A folder that may only be written to cannot be synced: then the file is durable a little later. */
function unreadable(error: unknown): void {
  if (codeOf(error) !== 'EACCES') throw error
}

async function readBefore(path: string): Promise<string> {
  const file = await openOwn(path, constants.O_RDONLY)
  if (file === undefined) return ''
  try {
    const { size } = await file.stat()
    if (size > MOST_BYTES) throw new Error(`${path} has ${sizeText(size)}, so this program did not write it`)
    const text = Buffer.alloc(size)
    const { bytesRead } = await file.read(text, 0, size, 0)
    return text.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function fill(file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text)
  // Independent of the umask.
  await file.chmod(MODE)
  await file.sync()
}

/** Adds the values in `before` to the counters and histograms of the same series in `text`. Anything else in `before` is dropped. */
export function continued(text: string, before: string): string {
  const earlier = new Map(before.split('\n').flatMap((line) => samples(line)))
  let kind = ''
  const lines = text.split('\n').map((line) => {
    kind = /^# TYPE \w+ (\w+)$/.exec(line)?.[1] ?? kind
    const [[series, value] = []] = samples(line)
    return series === undefined || value === undefined || kind === 'gauge' ? line : `${series} ${value + (earlier.get(series) ?? 0)}`
  })
  return lines.join('\n')
}

/** The series and the value of a line, if it is a numeric sample. */
function samples(line: string): [series: string, value: number][] {
  const [, series, value] = /^(\w+(?:\{.*\})?) ([\d.e+-]+)$/.exec(line) ?? []
  return series === undefined || !Number.isFinite(Number(value)) ? [] : [[series, Number(value)]]
}
