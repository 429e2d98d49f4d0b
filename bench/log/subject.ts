/** What is measured: something that appends records to topics and follows them, in one process as a gateway does. */
import type { NewRecord } from '../../src/log/log.ts'

/** `batched` is the bare client again, with its own stream gathering what comes while a batch is under way. */
export const logSubjects = ['ours', 'bare', 'batched'] as const
export type LogSubjectName = (typeof logSubjects)[number]

/** `gateway` is a whole one in a process of its own, with publishers and viewers on its sockets. */
export const subjects = [...logSubjects, 'gateway'] as const
export type SubjectName = (typeof subjects)[number]

export interface SubjectOptions {
  readonly bootstrapServers: string
  /** All that are followed. */
  readonly topics: readonly string[]
  /** Called for each record that comes, with the place of its topic and two of its headers. */
  readonly onRecord: (topic: number, session: string, sequence: number) => void
  /** It cannot go on. */
  readonly onFailure: (error: Error) => void
}

export interface Subject extends AsyncDisposable {
  /** Resolves when the record is acknowledged. */
  append(topic: number, record: NewRecord): Promise<unknown>
}

export type OpenSubject = (options: SubjectOptions) => Promise<Subject>
