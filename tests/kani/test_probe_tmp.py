def test_p(judge,prompts):
    import time
    for p in prompts:
        for pen in (1.0,1.1):
            t=time.time(); print(len(p),pen,len(judge.say(p,20,pen)),round(time.time()-t,2))
