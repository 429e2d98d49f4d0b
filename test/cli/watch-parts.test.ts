/** The parts of `watch`, on bytes and times that are made for them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Progress } from '../../src/cli/progress.ts'
import { containerOf } from '../../src/cli/watch/container.ts'
import { openFile, openNextFile } from '../../src/cli/watch/destination.ts'
import { lanesOf } from '../../src/cli/watch/lane.ts'
import { type FileReport, Recorder, recorderLimits } from '../../src/cli/watch/recorder.ts'
import { figures } from '../../src/cli/watch/report.ts'
import { Resume } from '../../src/cli/watch/resume.ts'
import { formatOfAnnexB, toLengths } from '../../src/media/h264.ts'
import { type Millis, micros, type Offset, trackName } from '../../src/units.ts'
import { complaints, encoders, type Media, makeMedia, probe } from '../support/media.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-watch-parts-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('H.264 for a file', { timeout: 60_000 }, () => {
  for (const [name, video] of [
    ['baseline', encoders.h264],
    ['high', encoders.h264WithB],
  ] as const) {
    it(`gets lengths for start codes, and the configuration out of the keyframe: ${name}`, async () => {
      const options = { video, seconds: 1 }
      const lengths = await makeMedia(folder, options)
      const codes = await makeMedia(folder, { ...options, annexB: true })
      const [track] = lengths.catalog.tracks
      const [key] = codes.frames
      assert.ok(track?.kind === 'video' && key)
      const made = formatOfAnnexB(key.data)?.avcC
      assert.equal(Buffer.from(made ?? []).toString('base64'), track.description)
      for (const [i, frame] of codes.frames.entries()) {
        const expected = Buffer.from(lengths.frames[i]?.data ?? [])
        const packed = Buffer.from(toLengths(frame.data))
        assert.deepEqual(packed.subarray(packed.byteLength - expected.byteLength), expected)
      }
    })
  }
})

it('a name or an option tells the container', () => {
  assert.equal(containerOf('a/b.WebM', undefined), 'webm')
  assert.equal(containerOf('a.b/c.mp4', undefined), 'mp4')
  assert.equal(containerOf('c.mp4', 'mkv'), 'mkv')
  assert.equal(containerOf('-', undefined), 'mkv')
  for (const [path, format] of [
    ['a.mp4/b', undefined],
    ['.mp4', undefined],
    ['b.mov', undefined],
    ['-', 'ts'],
  ] as const) {
    assert.throws(() => containerOf(path, format), { code: 'OUTPUT_FORMAT' })
  }
})

it('a file has one of the pictures that show the same, and all that do not', () => {
  const picture = (name: string, altGroup?: number) =>
    ({
      ...{ name: trackName(name), kind: 'video', codec: 'vp8', width: 640, height: 360 },
      ...(altGroup === undefined ? {} : { altGroup }),
    }) as const
  const names = (...tracks: ReturnType<typeof picture>[]): string[] =>
    lanesOf({ version: 1, tracks }, 'webm').map(({ name }) => name)
  assert.deepEqual(names(picture('large', 1), picture('small', 1), picture('other')), ['large', 'other'])
  assert.deepEqual(names(picture('left'), picture('right')), ['left', 'right'])
})

describe('what a viewer goes on from', () => {
  it('is behind the newest frame, of which each comes once in its session', () => {
    const resume = new Resume()
    assert.equal(resume.from, undefined)
    assert.ok(resume.accept('a', 0, 10 as Offset))
    assert.ok(resume.accept('a', 1, 11 as Offset))
    assert.equal(resume.from, '@12')
    assert.ok(!resume.accept('a', 1, 11 as Offset))
    assert.ok(resume.accept('b', 0, 20 as Offset))
    assert.ok(!resume.accept('a', 0, 10 as Offset))
    assert.equal(resume.from, '@21')
  })

  it('tells how many frames of a session are missing, where it has had some', () => {
    const resume = new Resume()
    assert.equal(resume.missing('a', 7), undefined)
    resume.accept('a', 7, 10 as Offset)
    assert.equal(resume.missing('a', 8), 0)
    assert.equal(resume.missing('a', 12), 4)
    assert.equal(resume.missing('a', 3), 0)
    assert.equal(resume.missing('b', 12), undefined)
  })

  it('remembers sixteen sessions', () => {
    const resume = new Resume()
    for (let i = 0; i <= 16; i++) assert.ok(resume.accept(`s${i}`, 0, i as Offset))
    assert.ok(!resume.accept('s1', 0, 1 as Offset))
    assert.ok(resume.accept('s0', 0, 0 as Offset))
  })
})

describe('a recorder', { timeout: 60_000 }, () => {
  let media: Media
  before(async () => {
    media = await makeMedia(folder, { video: encoders.vp8, audio: encoders.opus, seconds: 1 })
  })

  const start = Date.parse('2030-01-01T00:00:00Z')
  let made = 0

  const open = (extension: 'webm' | 'mp4', options: { mp4Frames?: number } = {}) => {
    const path = join(folder, `recorder-${made++}.${extension}`)
    const files: FileReport[] = []
    const recorder = new Recorder({
      container: extension,
      duration: undefined,
      open: number =>
        number === 1 ? openFile(path, { force: false }) : openNextFile(path, number, { force: false }),
      onNote: () => {},
      onFinished: file => files.push(file),
      ...options,
    })
    const session = async (name: string, at: number, frames = media.frames): Promise<void> => {
      await recorder.catalog(name, media.catalog)
      for (const [i, frame] of frames.entries()) {
        const time = (start + at + frame.timestamp / 1000) as Millis
        await recorder.frame({ frame: { ...frame, sequence: i }, time })
      }
    }
    return { path, files, recorder, session }
  }

  it('puts as much time between two sessions as lies between their records', async () => {
    const { path, recorder, session } = open('webm')
    await session('first', 0)
    await session('second', 5000)
    await recorder.finish()
    const { video, audio } = await probe(path)
    assert.equal(video.length + audio.length, media.frames.length * 2)
    for (const packets of [video, audio]) {
      const apart = (packets[packets.length / 2]?.pts ?? 0) - (packets[0]?.pts ?? 0)
      assert.ok(Math.abs(apart - 5) < 0.03, `${apart} s`)
    }
    assert.equal(await complaints(path), '')
  })

  it('lets a session begin at the end where the records say that it began before', async () => {
    const { path, recorder, session } = open('webm')
    await session('first', 0)
    await session('second', -60_000)
    await recorder.finish()
    const { video } = await probe(path)
    const half = video.length / 2
    const step = (video[half]?.pts ?? 0) - (video[half - 1]?.pts ?? 0)
    assert.ok(step > 0 && step < 0.1, `${step} s`)
  })

  it('begins another file after hours without frames', async () => {
    const { files, recorder, session } = open('webm')
    await session('first', 0)
    await session('second', recorderLimits.hole / 1000 + 10_000)
    await recorder.finish()
    assert.equal(files.length, 2)
    for (const { name, duration } of files) {
      assert.ok(duration < 1_200_000)
      assert.equal(await complaints(name), '')
    }
  })

  it('begins another MP4 at a keyframe before the index of one is too large', async () => {
    const { files, recorder, session } = open('mp4', { mp4Frames: 50 })
    await session('first', 0)
    await session('second', 2000)
    await recorder.finish()
    assert.equal(files.length, 2)
    let frames = 0
    for (const { name } of files) {
      const { video, audio } = await probe(name)
      frames += video.length + audio.length
      assert.equal(video[0]?.keyframe, true)
      assert.equal(await complaints(name), '')
    }
    assert.equal(frames, media.frames.length * 2)
  })

  it('keeps frames whose clock goes backwards, or is late, or far ahead', async () => {
    const { path, recorder, session } = open('webm')
    const shift = (i: number): number => (i % 6 === 5 && i > 30 ? -1e12 : i % 3 === 0 ? 40_000_000 : 0)
    const mad = media.frames.map((frame, i) => ({ ...frame, timestamp: micros(frame.timestamp + shift(i)) }))
    await session('first', 0, mad)
    await recorder.finish()
    const { video, audio } = await probe(path)
    assert.equal(video.length + audio.length, media.frames.length)
  })

  it('loses nothing where the picture changes while its sound is still waited for', async () => {
    const [small, large] = [
      await makeMedia(folder, { video: encoders.h264, seconds: 0.5, annexB: true }),
      await makeMedia(folder, { video: encoders.h264, seconds: 0.5, annexB: true, size: '640x360' }),
    ]
    const { path, files, recorder } = open('mp4')
    const [picture] = small.catalog.tracks
    const [, sound] = media.catalog.tracks
    assert.ok(picture && sound)
    await recorder.catalog('first', { version: 1, tracks: [picture, sound] })
    const pictures = [
      ...small.frames,
      ...large.frames.map(frame => ({ ...frame, timestamp: micros(frame.timestamp + 500_000) })),
    ]
    const sounds = media.frames.filter(({ track }) => track === sound.name)
    for (const [sequence, frame] of [...pictures, ...sounds].entries())
      await recorder.frame({ frame: { ...frame, sequence }, time: start as Millis })
    await recorder.finish()
    const counts = { video: 0, audio: 0 }
    assert.equal(files[0]?.name, path)
    for (const { name } of files) {
      const { video, audio } = await probe(name)
      counts.video += video.length
      counts.audio += audio.length
      assert.equal(await complaints(name), '')
    }
    assert.deepEqual([counts, recorder.undecodable], [{ video: pictures.length, audio: sounds.length }, 0])
  })

  it('leaves out what comes before the first keyframe, and frames of tracks that it has no place for', async () => {
    const { path, recorder } = open('webm')
    await recorder.catalog('first', {
      version: 1,
      tracks: [...media.catalog.tracks, { name: trackName('boxes'), kind: 'data' }],
    })
    const videos = media.frames.filter(({ track }) => track === 'video')
    const delta = videos[1]
    const key = videos[0]
    assert.ok(delta && key)
    const time = start as Millis
    await recorder.frame({ frame: { ...delta, sequence: 0 }, time })
    await recorder.frame({ frame: { ...key, track: trackName('boxes'), sequence: 1 }, time })
    await recorder.frame({ frame: { ...key, sequence: 2 }, time })
    await recorder.finish()
    assert.equal(recorder.undecodable, 1)
    assert.equal((await probe(path)).video.length, 1)
  })
})

describe('the progress', () => {
  const counts = [
    { kind: 'video', name: trackName('video'), frames: 372 },
    { kind: 'audio', name: trackName('audio'), frames: 620 },
  ] as const

  it('is one line of figures', () => {
    assert.equal(
      figures({ duration: micros(12_400_000), bytes: 1_934_000, counts }),
      '12.40 s, 372 video and 620 audio frames, 1.9 MB, 1248 kbit/s',
    )
    assert.equal(figures({ duration: micros(0), bytes: 0, counts: [] }), '0.00 s, no frames, 0 B')
  })

  it('is written over on a terminal, and gives way to what stays', async () => {
    let written = ''
    let told: () => void = () => {}
    const shown = new Promise<void>(resolve => {
      told = resolve
    })
    const stream = {
      isTTY: true,
      columns: 30,
      write: (text: string) => {
        written += text
        told()
      },
    }
    const report = new Progress(stream, () => 'a line that is longer than the terminal is wide')
    await shown
    report.note('stays')
    report.close()
    assert.equal(
      written,
      `\ra line that is longer than the\r${' '.repeat(29)}\rstays\n`.replace('than the\r', 'than th\r'),
    )
  })
})
