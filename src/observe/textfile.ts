import { constants } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { openOwn } from '../files.ts'

/** The collector of node_exporter runs as another user. */
const MODE = 0o644
/** Our metrics take a few thousandths of it. */
const MOST_BYTES = 2 ** 24

/**
 * Puts metrics in Prometheus' text format where the textfile collector of node_exporter finds them, whole at every moment: written beside the
 * file and renamed. Counters go on from what the file held, since a process that runs once would else begin at 0 each time and no increase
 * would ever show. Rejects where it cannot be written, or something else than a regular file has its name; what is there is then as it was. `writer`
 * tells processes apart.
 */
export async function writeTextfile(path: string, text: string, writer: string): Promise<void> {
  const beside = `${path}.${writer.replaceAll(/[^\w.-]/g, '-')}`
  const before = await readBefore(path)
  // Left over from a process of the same name that was killed; whatever else has the name is not written through.
  await rm(beside, { force: true })
  try {
    const file = await open(beside, 'wx', MODE)
    try {
      await fill(file, continued(text, before))
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw error
  }
}

async function readBefore(path: string): Promise<string> {
  const file = await openOwn(path, constants.O_RDONLY)
  if (file === undefined) return ''
  try {
    const { size } = await file.stat()
    if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, and so it is none that was written here`)
    const text = Buffer.alloc(size)
    const { bytesRead } = await file.read(text, 0, size, 0)
    return text.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function fill(file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text)
  // Whatever the umask.
  await file.chmod(MODE)
  await file.sync()
}

/** Counters and histograms of `text`, raised by what `before` says of the same series. Whatever else `before` holds is left out. */
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

/** The series and the value of a line, where it is a sample of a number. */
function samples(line: string): [series: string, value: number][] {
  const [, series, value] = /^(\w+(?:\{.*\})?) ([\d.e+-]+)$/.exec(line) ?? []
  return series === undefined || !Number.isFinite(Number(value)) ? [] : [[series, Number(value)]]
}
