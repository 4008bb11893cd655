/**
 * Does all of them, `most` at a time: waiting for the disk for each in turn takes many times longer. Rejects with the first error, once nothing is
 * at work any more.
 */
export async function concurrently<T>(most: number, items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> {
  const left = each(items)
  const failures: unknown[] = []
  const one = async (): Promise<void> => {
    try {
      // Left by an error, it is at its end for all.
      for (const item of left) await work(item)
    } catch (error) {
      failures.push(error)
    }
  }
  await Promise.all(Array.from({ length: most }, one))
  if (failures.length > 0) throw failures[0]
}

function* each<T>(items: Iterable<T>): Generator<T> {
  yield* items
}
