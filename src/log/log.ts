/**
 * The log: topics of records, each record at an offset. This is the contract; `kafka/` and `embedded/` keep it
 * and `test/log/contract.ts` checks it on both.
 *
 * A topic here has one partition. Every promise rejects with a FramelogError; the codes are named below.
 */
import type { FramelogError } from '../errors.ts'
import type { Millis, Offset } from '../units.ts'

/** Header values are text; bytes of other writers come as their Latin-1 characters. */
export type Header = readonly [name: string, value: string]

export interface NewRecord {
  readonly key: string
  /** Borrowed until the append settles. */
  readonly value: Uint8Array
  readonly headers: readonly Header[]
  readonly timestamp: Millis
}

export interface LogRecord extends NewRecord {
  readonly offset: Offset
  /** Owned by the receiver: for as long as that keeps it, it pins no buffer that is much larger than itself. */
  readonly value: Uint8Array
}

/** A topic as found: a deleted and re-created one has the same name and another id. */
export interface Topic {
  readonly name: string
  readonly id: string
}

export interface TopicOptions {
  /** Keep the newest record of each key instead of records of a certain age. */
  readonly compact?: boolean
  /** Age after which records may go; undefined keeps them. Not with `compact`. */
  readonly retention?: Millis
  /** Size in bytes past which the oldest records may go. Not with `compact`. */
  readonly retentionBytes?: number
}

export interface Bounds {
  /** Offset of the first record that is still there, or `next` where there is none. */
  readonly first: Offset
  /** Offset that the next record will get. */
  readonly next: Offset
}

/** Records that are there and cannot be read: their checksum, or how they lie in the store, is wrong. */
export interface Damage {
  readonly from: Offset
  /** Where what can be read goes on. */
  readonly next: Offset
}

export interface Chunk {
  /** Ascending offsets, none below the one asked for; empty at the end of the topic. */
  readonly records: readonly LogRecord[]
  /** What was passed over between them, ascending; absent where nothing was. */
  readonly damaged?: readonly Damage[]
  /** Where to read on. Past the last record where offsets between hold nothing (compaction, markers). */
  readonly next: Offset
  /** The topic's end as known when the chunk was read. */
  readonly end: Offset
}

/** Receives what a tail reads. Both are called outside of any call of the receiver's own. */
export interface TailSink {
  /** Ascending, without gap or repeat from call to call. */
  onChunk(chunk: Chunk): void
  /** The tail is over and calls no more: TOPIC_NOT_FOUND, OFFSET_OUT_OF_RANGE, LOG_AUTHORIZATION, LOG_CLOSED. */
  onEnd(error: FramelogError): void
}

export interface Tail {
  /** Idempotent; no call of the sink follows. */
  close(): void
}

export interface LogDescription {
  readonly backend: 'kafka' | 'embedded'
  /** What acknowledged means here, and what could be lost: one line for the operator. */
  readonly durability: string
  /** What the disk may hold of topics like these beyond their window, which is not served: one line. */
  readonly beyond: string
}

export interface Log extends AsyncDisposable {
  /** @param topics how topics are made here */
  describe(topics?: TopicOptions): Promise<LogDescription>

  /**
   * Makes the topic, or finds it where it exists, and resolves when it can be appended to and read.
   * @throws TOPIC_REFUSED, LOG_AUTHORIZATION, LOG_UNREACHABLE
   */
  create(name: string, options: TopicOptions): Promise<Topic>

  find(name: string): Promise<Topic | undefined>

  /** All topics whose names begin with the prefix. */
  topics(prefix: string): Promise<readonly Topic[]>

  /**
   * Appends all records or none, in one piece. Calls for one topic land in the order in which they were made,
   * also while earlier ones are under way. A retry inside may write records twice; readers follow the rule of
   * `docs/record-format.md`. Where an append fails, all later ones of that topic made before its rejection was told
   * fail too: whoever learns of it too late has made no hole.
   * @returns the offset of the first
   * @throws LOG_OVERLOADED at once where too much is waiting; FRAME_TOO_LARGE, TOPIC_NOT_FOUND, LOG_FULL,
   *   LOG_UNREACHABLE. After an error the records may or may not be in the log.
   */
  append(topic: Topic, records: readonly NewRecord[]): Promise<Offset>

  /** @throws TOPIC_NOT_FOUND */
  bounds(topic: Topic): Promise<Bounds>

  /** The offset of the first record whose timestamp is at least `time`, else the topic's end. */
  offsetAt(topic: Topic, time: Millis): Promise<Offset>

  /**
   * Reads what is there, without waiting for more; at least one record where there is one, or what is damaged of it.
   * @param maxBytes of values, about; a single larger record still comes whole
   * @throws OFFSET_OUT_OF_RANGE where `from` lies before the first record or past the end; TOPIC_NOT_FOUND
   */
  read(topic: Topic, from: Offset, maxBytes: number): Promise<Chunk>

  /** Follows the topic from an offset on for as long as it exists, through any fault of the backend. */
  tail(topic: Topic, from: Offset, sink: TailSink): Tail

  /** Removes the topic and all its records; one that is gone already is no error. */
  delete(topic: Topic): Promise<void>
}
