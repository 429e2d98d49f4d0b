import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Missing, MissingTracks, missingLimits } from '../../src/browser/player/mse/missing-tracks.ts'

const live: Missing = {
  isLive: true,
  video: 5_000_000,
  audio: 5_000_000,
  heard: 5_000_000,
  from: 1_000_000,
  waitsFor: undefined,
}
const replay: Missing = { ...live, isLive: false }

describe('sound that is missing', () => {
  it('is left alone while it comes, and while there is something to play', () => {
    const sound = new MissingTracks()
    assert.equal(sound.judge(live, 0).kind, 'none')
    assert.equal(sound.judge({ ...live, audio: 1_000_000, heard: 1_000_000 }, 0).kind, 'none')
    assert.equal(sound.judge({ ...live, waitsFor: 50 }, 0).kind, 'none')
    assert.equal(sound.judge({ ...live, video: undefined, waitsFor: 5000 }, 0).kind, 'none')
    assert.equal(sound.judge({ ...replay, audio: 4_000_000, waitsFor: 5000 }, 0).kind, 'none')
  })

  it('is silence where it is late, live', () => {
    const remedy = new MissingTracks().judge({ ...live, audio: 4_700_000, waitsFor: 20 }, 0)
    assert.deepEqual(remedy, { kind: 'fill', until: 4_900_000 })
  })

  it('is given up where none comes for a second, and is back when it comes after a while', () => {
    const sound = new MissingTracks()
    const waitsFor = missingLimits.silence + 1
    assert.equal(sound.judge({ ...live, audio: undefined, heard: undefined, waitsFor: 900 }, 0).kind, 'none')
    assert.equal(
      sound.judge({ ...live, audio: undefined, heard: undefined, waitsFor }, 100).kind,
      'give up sound',
    )
    assert.ok(sound.isGivenUp)
    assert.equal(sound.isBack(100 + missingLimits.givenUp - 1), false)
    assert.equal(sound.isBack(100 + missingLimits.givenUp), true)
    assert.equal(sound.isGivenUp, false)
  })

  it('is given up where it has stopped, whatever silence was put behind it', () => {
    const filled = { ...live, audio: 4_950_000, waitsFor: 20 }
    assert.equal(new MissingTracks().judge({ ...filled, heard: 4_100_000 }, 0).kind, 'none')
    assert.equal(new MissingTracks().judge({ ...filled, heard: 3_900_000 }, 0).kind, 'give up sound')
  })

  it('is played without the pictures that stopped', () => {
    const stopped = { ...live, video: 2_000_000, waitsFor: missingLimits.silence + 1 }
    assert.equal(new MissingTracks().judge(stopped, 0).kind, 'give up picture')
    assert.equal(new MissingTracks().judge({ ...stopped, waitsFor: undefined }, 0).kind, 'none')
    assert.equal(new MissingTracks().judge({ ...stopped, isLive: false }, 0).kind, 'none')
  })

  it('is silence in a replay as soon as the pictures are further than tracks lie apart, also where none ever came', () => {
    const sound = new MissingTracks()
    assert.deepEqual(sound.judge({ ...replay, video: 9_000_000, audio: 3_000_000 }, 0), {
      kind: 'fill',
      until: 8_000_000,
    })
    assert.deepEqual(sound.judge({ ...replay, audio: undefined }, 0), { kind: 'fill', until: 4_000_000 })
    assert.equal(sound.isGivenUp, false)
  })
})
