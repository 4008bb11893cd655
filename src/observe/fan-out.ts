import type { Events } from './events.ts'

/** Receives the events for which it has a function. */
export type Listener = Partial<Events>

/** Passes each event to all listeners in this order; `first` must handle every event. The result can be passed to `fanOut` again. */
export function fanOut(first: Events, ...others: readonly Listener[]): Events {
  const handlers = Object.keys(first).map((name) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the names are those of `Events`
    const event = name as keyof Events
    return [event, (...fields: never[]): void => [first, ...others].forEach((each) => each[event]?.(...(fields as [never, never, never])))]
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each of its functions is there
  return Object.fromEntries(handlers) as Events
}
