import { setImmediate, setTimeout } from 'node:timers/promises'
import { auditRow, COLUMNS, valuesOf } from '../audit-rows.ts'
import { serveParent, sharedMs } from './child.ts'
import { openPlain, type Plain } from './plain.ts'

/** Writes audit rows as the gateway does: one INSERT after another on one connection, each committed, due at fixed moments. */
export type Question =
  | { readonly ask: 'begin'; readonly url: string; readonly perSecond: number }
  /** Answered with every `Write` that was due by now, once the last is done. */
  | { readonly ask: 'end' }

export interface Write {
  /** When it was scheduled; it begins later if the previous one took too long. */
  readonly dueMs: number
  readonly startedMs: number
  readonly endedMs: number
  /** It failed with SQLITE_BUSY. */
  readonly busy: boolean
}

let lastDueMs = Infinity
let writing: Promise<Write[]> | undefined

serveParent(async (question: Question): Promise<unknown> => {
  switch (question.ask) {
    case 'begin': {
      const plain = await openPlain(question.url)
      writing = writes(plain, 1_000 / question.perSecond)
      // Awaited at the end; until then a failure must not end the process unreported.
      writing.catch(() => {})
      return undefined
    }
    case 'end':
      lastDueMs = sharedMs()
      return await writing
    default:
      return question satisfies never
  }
})

const INSERT = `INSERT INTO audit_logs (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`

async function writes(plain: Plain, everyMs: number): Promise<Write[]> {
  const done: Write[] = []
  const firstMs = sharedMs()
  for (let n = 0; ; n += 1) {
    const dueMs = firstMs + n * everyMs
    const earlyMs = dueMs - sharedMs()
    if (earlyMs > 0) await setTimeout(earlyMs)
    else await setImmediate() // lets the request to end in
    if (dueMs > lastDueMs) break
    const values = valuesOf(auditRow(n), Date.now())
    const startedMs = sharedMs()
    const busy = await refusedAsBusy(() => plain.run(INSERT, values))
    done.push({ dueMs, startedMs, endedMs: sharedMs(), busy })
  }
  await plain.close()
  return done
}

async function refusedAsBusy(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    return false
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY')) return true
    throw error
  }
}
