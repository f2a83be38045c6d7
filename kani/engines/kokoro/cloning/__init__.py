"""Voice cloning with Kokoro's own voices: the mix that sounds most like a recording. Nothing is trained.

Kokoro comes without the network that made its styles, so a recording cannot be turned into a style. But its
styles can be interpolated: a weighted sum of the 37 shipped ones is a new timbre, and the predicted F0 can be
shifted and scaled freely (``voices``, ``pitch_control``). Cloning searches this space for the mix nearest
to the recording, by the cosine of speaker embeddings.

    recording                      mono samples at any rate
        │
        │  placement.VoicePlacer.measure
        │      kani.runtime.speaker_encoder    speaker embedding [256], length 1
        │      pitch.measure_pitch        median and spread of F0, by YIN
        ▼
    MeasuredSpeaker
        │
        │  placement.VoicePlacer.place, for each language, 10 ms
        │      surrogate.Surrogate        predicts the embedding of any mix; nothing is synthesised
        │      weight_solver              timbre weights with the nearest predicted embedding
        │      pitch                      a native voice's prosody, shifted to the recording's F0 and spread
        ▼
    Placement                      one mix for each language, or the nearest single voice if that is better
        │
        │  voice_embedding                encoded as one float32 vector
        ▼
    Embedding                      returned to the client, stored with the voice, sent back with requests
        │
        │  refinement.Refiner, in the background, for one language
        │      synthesise the mix, measure it as above, correct the surrogate (Broyden), solve again:
        │      at most MAX_SYNTHESES mixes
        ▼
    better Embedding               its similarity is measured, no longer predicted

The speed of placing comes from the surrogate: at a given F0 the speaker embedding of a mix is nearly linear
in its weights, so tables fitted in advance (``tools/kokoro_data/surrogate.py``, ``data/surrogate.npz``)
replace synthesis. Their error is what refinement removes.

``VoicePlacer.embed`` and ``Refiner.refine`` are the engine's entry points: iterators of short steps, which
the engine schedules between the decoding steps of running speech. A step without a result yields None.
"""
