import { setImmediate as turn } from 'node:timers/promises'

/** So much may wait; then the server does. */
const WAITING_BYTES = 16 * 2 ** 20

/** Pieces that come faster than they are worked off wait in it, so that the connection is free again as soon as the server has sent them. */
export class Spool {
  readonly #work: (piece: Buffer) => Promise<void>
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #working: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(work: (piece: Buffer) => Promise<void>) {
    this.#work = work
  }

  /** Resolves when the next piece may come; rejects with what working off rejected with. */
  async put(piece: Buffer): Promise<void> {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#working ??= this.#workOff()
    if (this.#failure !== undefined || this.#bytes > WAITING_BYTES) await this.emptied()
  }

  /** Resolves when all that was put in is worked off; rejects with what that rejected with. */
  async emptied(): Promise<void> {
    await this.#working
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async #workOff(): Promise<void> {
    try {
      for (let piece = this.#pieces.shift(); piece !== undefined && this.#failure === undefined; piece = this.#pieces.shift()) {
        await this.#work(piece)
        this.#bytes -= piece.length
        // Whatever else came over the connection has its turn.
        await turn()
      }
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      this.#working = undefined
    }
  }
}
