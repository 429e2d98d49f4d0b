/** Where a command's frames come from: a file, the standard input, or what ffmpeg makes of an address. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { allFormats } from '../../container/formats.ts'
import { AnyDemuxer } from '../../container/recognise.ts'
import { FramelogError, systemCode } from '../../errors.ts'
import type { Catalog } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { quote } from '../../units.ts'
import { readByFfmpeg } from './ffmpeg.ts'
import { readMovie } from './movie.ts'

/** What comes of a source, in decode order. */
export type SourceItem =
  | { readonly kind: 'tracks'; readonly tracks: Catalog['tracks'] }
  | { readonly kind: 'frame'; readonly frame: Frame }

export interface Source {
  /** How it is called in what the command says. */
  readonly name: string
  /** Whether it may be gone for a while, and come back. */
  readonly isLive: boolean
  /** Whether whoever sends it waits until it is taken. */
  readonly waits: boolean
  /** Whether its frames are to be held until they are due: it comes faster than it plays. */
  readonly isPaced: boolean
  /** Whether it may be read again from its beginning. */
  readonly mayRepeat: boolean
  /** @throws FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC, SOURCE_UNUSABLE */
  read(signal: AbortSignal): AsyncIterable<SourceItem>
}

const address = /^[a-z][a-z0-9+.-]*:\/\//i

/**
 * @param from a file's name, `-` for the standard input, or an address that ffmpeg reads
 * @param transcode whether ffmpeg encodes what cannot be carried as it is
 * @throws FramelogError SOURCE_UNUSABLE
 */
export async function openSource(from: string, transcode: boolean): Promise<Source> {
  if (from === '-')
    return {
      name: 'the standard input',
      ...{ isLive: false, waits: true, isPaced: false, mayRepeat: false },
      read: signal => {
        signal.addEventListener('abort', () => process.stdin.destroy())
        return demuxed(process.stdin as AsyncIterable<Uint8Array>)
      },
    }
  if (address.test(from) || transcode)
    return {
      name: from,
      isLive: address.test(from),
      waits: !address.test(from) || /^https?:/i.test(from),
      // What a web server has may be a file; a live one is no faster than it plays.
      isPaced: !address.test(from) || /^https?:/i.test(from),
      mayRepeat: true,
      read: signal => demuxed(readByFfmpeg(from, transcode, signal)),
    }
  const isMovie = await beginsMovie(from)
  return {
    name: from,
    ...{ isLive: false, waits: true },
    isPaced: true,
    mayRepeat: true,
    // An MP4 that was made as a file has its index in one place, and its frames by that.
    read: () => (isMovie ? readMovie(from) : demuxed(createReadStream(from) as AsyncIterable<Uint8Array>)),
  }
}

/** @throws FramelogError SOURCE_UNUSABLE */
async function beginsMovie(path: string): Promise<boolean> {
  try {
    await using file = await open(path)
    const { buffer, bytesRead } = await file.read(new Uint8Array(8), 0, 8, 0)
    return (
      bytesRead === 8 &&
      /^(ftyp|moov|mdat|wide|free|skip|pnot)$/.test(Buffer.from(buffer).toString('latin1', 4))
    )
  } catch (cause) {
    throw new FramelogError('SOURCE_UNUSABLE', `${quote(path)} cannot be read (${systemCode(cause)})`, {
      cause,
    })
  }
}

async function* demuxed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SourceItem> {
  let items: SourceItem[] = []
  const demuxer = new AnyDemuxer(
    {
      onTracks: tracks => items.push({ kind: 'tracks', tracks }),
      onFrame: frame => items.push({ kind: 'frame', frame }),
    },
    allFormats,
  )
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.byteLength
    demuxer.push(chunk)
    const came = items
    items = []
    yield* came
  }
  demuxer.end()
  yield* items
  if (length === 0) throw new FramelogError('BAD_CONTAINER', 'The stream is empty')
}
