import type { Database } from '../../src/database/database.ts'
import { sharedMs } from './child.ts'
import type { Batch } from './contender.ts'

/** The same database, with the cost of each batch recorded as it passes through the interface. */
export function recorded(database: Database, batches: Batch[]): Database {
  let chooseMs = 0
  let open: Batch | undefined
  return replaced(database, {
    expired(column, cutoff, spared) {
      const rows = database.expired(column, cutoff, spared)
      return replaced(rows, {
        async next(size, after) {
          const startedMs = sharedMs()
          const slice = await rows.next(size, after)
          chooseMs = sharedMs() - startedMs
          return slice
        },
      })
    },
    async transaction(work) {
      const startedMs = sharedMs()
      let removed = 0
      const result = await database.transaction(async (tx) => {
        const value = await work(tx)
        removed = rowsOf(value)
        return value
      })
      open = { rows: removed, chooseMs, transactionMs: sharedMs() - startedMs, heldMs: database.heldMs() }
      return result
    },
    // Read once after each batch, because reading it changes its value.
    async pressure() {
      const pressure = await database.pressure()
      if (open !== undefined) batches.push(open)
      open = undefined
      return pressure
    },
  })
}

/** The result of a batch; any other transaction removes nothing. */
function rowsOf(value: unknown): number {
  return typeof value === 'object' && value !== null && 'affected' in value ? Number(value.affected) : 0
}

/** Not a copy: methods may use private fields, so they stay bound to the object itself. */
function replaced<T extends object>(target: T, replacements: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in replacements) return Reflect.get(replacements, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
