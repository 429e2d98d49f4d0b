/**
 * The readers' rule: which records of a topic count. Whoever reads a broadcast, in whatever language, follows
 * it, so that two gateways which both believe to hold a broadcast can confuse nobody.
 *
 *  1. A session record is a claim; its epoch is its offset. The latest claim holds the broadcast.
 *  2. A record counts only if its epoch is the latest claim's. One from an earlier epoch is stale: its writer
 *     had lost the broadcast and did not know yet. One from a later epoch than any claim met so far was written
 *     under a claim that lies before the reader's first record: that epoch is the latest now.
 *  3. An epoch is an offset before the record's own; anything else is no writer of ours.
 *  4. Within a session each number counts once, and only above every number that counted before: repeats come
 *     from retries. A gap record counts for all the numbers it names.
 *  5. Timed data has neither epoch nor number: it always counts, and changes nothing about what else does.
 *
 * A reader that begins in the middle, sent there by a record's `start`, takes as the floor the epoch under which the
 * GOP there began: the record's own, or the one that it names beside `start` where its session went on in a GOP of
 * an earlier claim. Every epoch below the floor is stale.
 */
import type { Offset } from '../units.ts'
import type { Claimed, Entry } from './record.ts'

export type Verdict = 'accepted' | 'stale' | 'repeated' | 'skipped'

/** Sessions whose last number is remembered: more than can come back under one broadcast id at a time. */
export const rememberedSessions = 16

/** The lowest epoch that can count for a reader whom an entry's `start` has sent to where it begins. */
export const floorOf = ({ epoch, startEpoch }: Claimed): Offset => startEpoch ?? epoch

export class ReaderRule {
  #epoch: number
  #session: string | undefined
  /** Last number that counted, by session, oldest first. */
  readonly #last = new Map<string, number>()

  /** @param floor see `floorOf` */
  constructor(floor?: Offset) {
    this.#epoch = floor ?? -1
  }

  /** The latest claim known, undefined before any record told of one. */
  get epoch(): Offset | undefined {
    return this.#epoch < 0 ? undefined : (this.#epoch as Offset)
  }

  /** The session of the latest claim. */
  get session(): string | undefined {
    return this.#session
  }

  /** The last number of a session that counted, or -1. */
  lastSequence(session: string): number {
    return this.#last.get(session) ?? -1
  }

  /** Judges the entry at an offset. Offsets must come in ascending order. */
  judge(offset: Offset, entry: Entry): Verdict {
    if (entry.kind === 'unknown' || entry.kind === 'corrupt') return 'skipped'
    if (entry.kind === 'data') return 'accepted'
    if (entry.kind === 'session') {
      this.#hold(offset, entry.session)
      return 'accepted'
    }
    if (entry.epoch >= offset || entry.epoch < this.#epoch) return 'stale'
    if (entry.epoch > this.#epoch || this.#session === undefined) this.#hold(entry.epoch, entry.session)
    if (entry.session !== this.#session) return 'stale'
    switch (entry.kind) {
      case 'frame':
        return this.#count(entry.sequence, entry.sequence)
      case 'gap':
        return this.#count(entry.from, entry.to)
      default:
        return 'accepted'
    }
  }

  #hold(epoch: number, session: string): void {
    this.#epoch = epoch
    this.#session = session
    const last = this.lastSequence(session)
    this.#last.delete(session)
    this.#last.set(session, last)
    if (this.#last.size > rememberedSessions) {
      for (const oldest of this.#last.keys()) {
        this.#last.delete(oldest)
        break
      }
    }
  }

  #count(from: number, to: number): Verdict {
    const session = this.#session as string
    if (from <= this.lastSequence(session)) return 'repeated'
    this.#last.set(session, to)
    return 'accepted'
  }
}
