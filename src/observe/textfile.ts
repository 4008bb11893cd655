import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises'

/** The collector of node_exporter runs as another user. */
const MODE = 0o644

/**
 * Puts metrics in Prometheus' text format where the textfile collector of node_exporter finds them, whole at every moment: written beside the
 * file and renamed. Counters go on from what the file held, since a process that runs once would else begin at 0 each time and no increase
 * would ever show. Rejects with the system's error; the file is then as it was. `writer` tells processes apart.
 */
export async function writeTextfile(path: string, text: string, writer: string): Promise<void> {
  const beside = `${path}.${writer.replaceAll(/[^\w.-]/g, '-')}`
  const before = await readFile(path, 'utf8').catch(() => '')
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
