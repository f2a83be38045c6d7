"""ElevenLabs' protocol: speech by HTTP and by WebSocket, transcription, lists of voices and models, cloning.

``http`` speaks whole texts, transcribes recordings, lists voices and models, and stores and deletes voices;
``websocket`` speaks texts while they are written; ``realtime`` transcribes speech as it is spoken; ``relay``
is the protocol of a server that relayed between an app and ElevenLabs. ``formats``, ``voice_ids`` and
``voice_settings`` parse parameters of requests, ``errors`` holds the answers to invalid ones, and
``single_use_tokens`` makes the keys of browsers.
"""
