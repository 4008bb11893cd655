import type { Events } from './events.ts'

/** Hears what it has a function for. */
export type Listener = Partial<Events>

/** What is told is told to all, in this order; `first` hears everything. Can be put around what was put together before. */
export function fanOut(first: Events, ...others: readonly Listener[]): Events {
  const told = Object.keys(first).map((name) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the names are those of `Events`
    const event = name as keyof Events
    return [event, (...fields: never[]): void => [first, ...others].forEach((each) => each[event]?.(...(fields as [never, never, never])))]
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each of its functions is there
  return Object.fromEntries(told) as Events
}
