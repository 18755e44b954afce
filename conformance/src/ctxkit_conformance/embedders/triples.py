"""English triples: a sentence, another that says the same in other words, and one that shares words but no subject.

Embedders without meaning are drawn to the third: it has the words and the build of the first. Measured share of triples
whose second sentence is nearer to the first than the third is: all-MiniLM-L6-v2 100 %, static model of 384 components
100 % and of 64 components 97 %, random vectors 47-66 %, hashed words or letter groups 0-13 %.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.8

TRIPLES: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "My flight to Rome was cancelled.",
        "The plane that should have taken me to Italy never took off.",
        "My homework was marked by the teacher.",
    ),
    (
        "The doctor gave me pills for my headache.",
        "A physician prescribed medicine against the pain in my head.",
        "The gardener gave me seeds for my lawn.",
    ),
    (
        "She bought a used car last week.",
        "A few days ago she purchased a second-hand vehicle.",
        "She painted a small picture last week.",
    ),
    (
        "The children are asleep upstairs.",
        "The kids have gone to bed on the floor above.",
        "The lorries are parked downtown.",
    ),
    (
        "Our rent went up again this year.",
        "The landlord is charging us more for the apartment now.",
        "Our team went home again this evening.",
    ),
    (
        "I forgot the password of my account.",
        "I cannot log in because I don't remember my credentials.",
        "I forgot the umbrella on the train.",
    ),
    (
        "The soup is far too salty.",
        "Someone put much too much salt in the broth.",
        "The film is far too long.",
    ),
    (
        "He repaired the leaking tap in the kitchen.",
        "The dripping faucet over the sink was fixed by him.",
        "He watched the boring match in the stadium.",
    ),
    (
        "The company dismissed half of its staff.",
        "Every second employee of the firm was laid off.",
        "The museum opened half of its rooms.",
    ),
    (
        "Snow blocked the road over the mountains.",
        "The alpine pass was closed because of heavy snowfall.",
        "Dust covered the books on the shelf.",
    ),
    (
        "Our dog barks at strangers.",
        "When somebody unknown comes, our puppy makes a lot of noise.",
        "Our printer jams at noon.",
    ),
    (
        "The museum does not charge admission on Sundays.",
        "Entry to the gallery is free at weekends.",
        "The server does not send email to customers.",
    ),
    (
        "The database lost every write of the last hour.",
        "All records stored in the past sixty minutes vanished from the data store.",
        "The orchestra played every piece of the last concert.",
    ),
    (
        "She is allergic to peanuts.",
        "Eating nuts makes her ill.",
        "She is related to sailors.",
    ),
    (
        "The laptop's battery is empty after two hours.",
        "The notebook computer runs out of power quickly.",
        "The village's church is empty after two wars.",
    ),
    (
        "They married in a small church by the sea.",
        "Their wedding took place in a chapel on the coast.",
        "They argued in a crowded office by the station.",
    ),
    (
        "The goalkeeper saved the penalty in the last minute.",
        "Just before the end of the football game the keeper stopped the shot.",
        "The baker sold the bread in the early morning.",
    ),
    (
        "Please turn the music down.",
        "Could you lower the volume of that song?",
        "Please send the invoice today.",
    ),
    (
        "My grandmother grows tomatoes behind her house.",
        "Grandma has vegetables in the garden at the back of her home.",
        "My lawyer keeps contracts behind her desk.",
    ),
    (
        "The judge sent the thief to prison.",
        "The burglar was sentenced to jail by the court.",
        "The editor sent the draft to Paris.",
    ),
    (
        "A storm tore the roof off the barn.",
        "Strong winds ripped away the top of the farm building.",
        "A clerk took the stamp off the letter.",
    ),
    (
        "He quit smoking ten years ago.",
        "He has not touched a cigarette for a decade.",
        "He built boats ten miles away.",
    ),
    (
        "The exam was harder than the students expected.",
        "Pupils found the test surprisingly difficult.",
        "The bridge was longer than the engineers planned.",
    ),
    (
        "We ran out of milk and eggs.",
        "There is no dairy left in the fridge and we need groceries.",
        "We ran out of the tunnel and cheered.",
    ),
    (
        "The bank refused to lend him money.",
        "His application for a loan was rejected.",
        "The singer refused to show him photographs.",
    ),
    (
        "Astronomers found a planet around a distant star.",
        "A new world orbiting a far-away sun was discovered by scientists.",
        "Plumbers found a crack around a rusty pipe.",
    ),
    (
        "The train to Berlin is half an hour late.",
        "The rail service to Germany's capital is delayed by thirty minutes.",
        "The recipe for pancakes is half a page long.",
    ),
    (
        "The function crashes when the list is empty.",
        "Calling the program without any elements raises an error.",
        "The cinema closes when the month is over.",
    ),
    (
        "He speaks Spanish without an accent.",
        "His pronunciation of the language of Madrid is like a native's.",
        "He sleeps outdoors without a blanket.",
    ),
    (
        "The factory pollutes the river with chemicals.",
        "Toxic waste from the plant ends up in the water.",
        "The painter decorates the ceiling with flowers.",
    ),
    (
        "The team celebrated its victory all night.",
        "The players partied until morning because they had won.",
        "The clock repeated its signal all day.",
    ),
    (
        "Fewer and fewer people read printed newspapers.",
        "The number of readers of the paper press is falling.",
        "Fewer and fewer bees visit wild meadows.",
    ),
)
