import type { Socket } from 'node:net'

export interface Bounds {
  readonly most: number
  readonly longestMs: number
  /** Ends a connection that has been open too long, or has to make room for a new one. */
  readonly end: (socket: Socket) => void
}

/**
 * Connections in one state, limited in number and in time. A new one is always accepted, and the oldest one ends instead: an attacker has to reconnect all
 * the time, and even so keeps out nobody whose request arrives at once.
 */
export class BoundedConnections {
  readonly #bounds: Bounds
  readonly #deadlines = new Map<Socket, NodeJS.Timeout>()

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  add(socket: Socket): void {
    if (this.#deadlines.size >= this.#bounds.most) {
      const [oldest] = this.#deadlines.keys()
      this.#end(oldest!)
    }
    this.#deadlines.set(
      socket,
      setTimeout(() => this.#end(socket), this.#bounds.longestMs),
    )
  }

  delete(socket: Socket): void {
    clearTimeout(this.#deadlines.get(socket))
    this.#deadlines.delete(socket)
  }

  endAll(): void {
    for (const socket of this.#deadlines.keys()) this.#end(socket)
  }

  #end(socket: Socket): void {
    this.delete(socket)
    this.#bounds.end(socket)
  }
}
