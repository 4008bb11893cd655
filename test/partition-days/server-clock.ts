import { mkdtemp, rename, rm, chmod, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EpochMs } from '../../src/time/clock.ts'
import { formatTime } from '../../src/time/clock.ts'

/** One clock for a PostgreSQL server and for workers, set by the test: Debian's libfaketime reads how far it is ahead from a file, at each call. */
export interface ServerClock extends AsyncDisposable {
  /** For every process that is to go by it. Durations go by as they do. */
  readonly env: Readonly<Record<string, string>>
  /** From now on it is this time. It never goes back. */
  set(time: EpochMs): Promise<void>
  now(): EpochMs
}

export async function serverClock(library: string, begin: EpochMs): Promise<ServerClock> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-clock-'))
  await chmod(folder, 0o755)
  const file = join(folder, 'ahead')
  let aheadMs = begin - Date.now()
  const write = async (): Promise<void> => {
    // In one step: a reader that finds half of it would be told the real time.
    await writeFile(`${file}.new`, `${aheadMs < 0 ? '' : '+'}${aheadMs / 1_000}\n`)
    await rename(`${file}.new`, file)
  }
  await write()
  const now = (): EpochMs => Date.now() + aheadMs
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
    now,
    async set(time) {
      if (time < now()) throw new Error(`the clock is at ${formatTime(now())} already and does not go back to ${formatTime(time)}`)
      aheadMs = time - Date.now()
      await write()
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
