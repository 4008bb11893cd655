import { readFileSync } from 'node:fs'
import { median } from '../statistics.ts'
import { serveParent, sharedMs } from './child.ts'
import type { Contender, Keeping, Steady, Work } from './contender.ts'
import { openContender, type Method } from './contenders.ts'
import { openPlain } from './plain.ts'
import { openJob } from './product.ts'

/** The requests to this process, in this order. */
export type Question =
  | { readonly ask: 'connect'; readonly method: Method | Steady | Keeping; readonly url: string; readonly retentionMs?: number }
  /** Answered with a `Trial`. */
  | { readonly ask: 'work'; readonly limitMs: number }
  /** Connects, purges with the given retention, and answers with a `Trial`. */
  | { readonly ask: 'night'; readonly url: string; readonly retentionMs: number; readonly limitMs: number }
  /** How long a statement takes that returns one number, in ms. */
  | { readonly ask: 'count'; readonly url: string; readonly sql: string; readonly values: readonly string[] }
  /** How long the job takes if nothing has expired, in ms: the median of so many runs. */
  | { readonly ask: 'nothing'; readonly url: string; readonly times: number; readonly retentionMs: number }

export interface Trial extends Work {
  /** On the machine's monotonic clock. */
  readonly startedMs: number
  readonly endedMs: number
  /** The most memory that this process has ever had resident. */
  readonly peakBytes: number
}

const WARM_UP = 10

let contender: Contender | undefined

serveParent(async (question: Question): Promise<unknown> => {
  switch (question.ask) {
    case 'connect':
      contender = await openContender(question.method, question.url, question.retentionMs)
      return undefined
    case 'work':
      return await trial(contender!, question.limitMs)
    case 'night':
      return await trial(await openJob(question.url, question.retentionMs), question.limitMs)
    case 'count':
      return await timeOfCount(question)
    case 'nothing':
      return await nothingExpired(question)
    default:
      return question satisfies never
  }
})

async function trial(opened: Contender, limitMs: number): Promise<Trial> {
  const startedMs = sharedMs()
  const work = await opened.work(AbortSignal.timeout(limitMs))
  const endedMs = sharedMs()
  await opened.close()
  return { ...work, startedMs, endedMs, peakBytes: peakBytes() }
}

async function timeOfCount({ url, sql, values }: Extract<Question, { ask: 'count' }>): Promise<number> {
  const plain = await openPlain(url)
  const startedMs = sharedMs()
  const [rows] = await plain.column(sql, values)
  const endedMs = sharedMs()
  await plain.close()
  if (Number(rows) === 0) throw new Error('nothing was counted')
  return endedMs - startedMs
}

async function nothingExpired({ url, times, retentionMs }: Extract<Question, { ask: 'nothing' }>): Promise<number> {
  const job = await openJob(url, retentionMs)
  const never = new AbortController().signal
  const taken: number[] = []
  for (let n = -WARM_UP; n < times; n += 1) {
    const startedMs = sharedMs()
    const { deleted } = await job.work(never)
    if (n >= 0) taken.push(sharedMs() - startedMs)
    if (deleted > 0) throw new Error(`${deleted} rows had expired although none should have`)
  }
  await job.close()
  return median(taken)
}

/** Not `resourceUsage().maxRSS`: that begins with the memory of the process that started this one. */
function peakBytes(): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) * 1024
}
