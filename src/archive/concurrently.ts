/**
 * Runs `work` on all items, `most` at a time: waiting for the disk for one item after another takes many times longer. Rejects with the
 * first error, after everything that was started has ended.
 */
export async function concurrently<T>(most: number, items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> {
  const left = each(items)
  const failures: unknown[] = []
  const one = async (): Promise<void> => {
    try {
      // An error closes the shared generator, so no other worker takes a further item.
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
