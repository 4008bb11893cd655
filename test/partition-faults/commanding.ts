// The commands `partition start` and `partition undo` as a process of their own, which tells its parent how far it is and can be killed.
import { JOBS } from '../../src/catalogue.ts'
import { messageOf } from '../../src/errors.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { opened } from '../runs/support.ts'

export type Told =
  | { readonly step: string }
  | { readonly tookMs: number; readonly lockedMs: number | undefined }
  | { readonly failed: string }

const RETENTION = { name: 'AUDIT_LOGS_RETENTION', keptMs: 90 * DAY }
const LOCK_TIMEOUT_MS = 30_000

const [url = '', way = ''] = process.argv.slice(2)
const tell = (told: Told): void => void process.send?.(told)
const { signal } = new AbortController()

try {
  await using database = await opened(url, hostClock(), { applicationName: `partition ${way}` })
  const { table, column } = JOBS.find((job) => job.table === 'audit_logs')!
  const partitions = database.partitions({ table, column })!
  const options = {
    lock: { timeoutMs: LOCK_TIMEOUT_MS, signal, waiting: () => {} },
    listener: {
      step: (step: string) => tell({ step }),
      done: (tookMs: number, lockedMs: number | undefined) => tell({ tookMs, lockedMs }),
      blocked: () => {},
    },
    signal,
  }
  if (way === 'undo') await partitions.undo(options)
  else await partitions.start({ now: await database.now(), aheadMs: 14 * DAY, periods: [RETENTION] }, options)
} catch (error) {
  tell({ failed: messageOf(error) })
  process.exitCode = 1
}
process.disconnect?.()
