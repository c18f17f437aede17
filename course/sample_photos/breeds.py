"""What each of the 133 breeds looks like: the table the drawn sample set is made from.

The names and their order are those of dogImages, so that the folder `057.Dalmatian` is the same
class here and there. The features are true enough to tell the breeds apart, and no show standard.
"""

from dataclasses import dataclass, field, fields, replace

# Proportions in units of the body of a square-built dog.
# length, leg, depth (of the body), tuck (of the belly), neck, head, snout, jowl, bone (leg radius)
BUILDS = {
    "toy": (0.85, 0.40, 0.40, 0.3, 0.24, 0.42, 0.25, 0.35, 0.065),
    "terrier": (0.88, 0.48, 0.40, 0.3, 0.32, 0.37, 0.70, 0.45, 0.075),
    "low": (1.35, 0.19, 0.36, 0.2, 0.30, 0.38, 0.75, 0.40, 0.080),
    "earthdog": (1.02, 0.26, 0.38, 0.2, 0.28, 0.42, 0.55, 0.50, 0.080),
    "hound": (0.98, 0.50, 0.40, 0.5, 0.34, 0.35, 0.75, 0.60, 0.080),
    "sighthound": (1.00, 0.66, 0.36, 1.0, 0.44, 0.28, 1.00, 0.25, 0.058),
    "spitz": (0.92, 0.46, 0.44, 0.3, 0.28, 0.39, 0.50, 0.35, 0.080),
    "mastiff": (1.02, 0.48, 0.48, 0.3, 0.28, 0.44, 0.40, 0.90, 0.115),
    "bulldog": (0.88, 0.28, 0.44, 0.2, 0.18, 0.50, 0.15, 0.90, 0.105),
    "herder": (1.05, 0.50, 0.41, 0.5, 0.34, 0.36, 0.75, 0.35, 0.080),
    "gundog": (1.00, 0.52, 0.42, 0.5, 0.36, 0.35, 0.70, 0.55, 0.080),
    "spaniel": (0.95, 0.40, 0.42, 0.3, 0.28, 0.38, 0.60, 0.60, 0.080),
    "giant": (1.02, 0.54, 0.47, 0.4, 0.34, 0.39, 0.60, 0.70, 0.105),
}

COLOURS = {
    "black": (44, 41, 44),
    "charcoal": (78, 76, 82),
    "grey": (136, 136, 142),
    "silver": (176, 176, 180),
    "blue": (98, 108, 126),
    "white": (240, 236, 228),
    "ivory": (232, 222, 196),
    "cream": (228, 204, 160),
    "wheat": (214, 180, 122),
    "gold": (208, 152, 78),
    "apricot": (216, 158, 104),
    "fawn": (200, 158, 108),
    "tan": (186, 118, 62),
    "orange": (206, 116, 48),
    "red": (160, 76, 38),
    "mahogany": (120, 52, 30),
    "chestnut": (132, 74, 44),
    "liver": (98, 62, 46),
    "brown": (112, 80, 56),
    "sable": (146, 100, 60),
    "pink": (214, 164, 150),
}

# name | build | ears | tail | coat | colour | marks (place=colour) | proportions of its own
_TABLE = """
Affenpinscher | toy | button | stub | wire | black | beard=charcoal | snout=.15
Afghan_hound | sighthound | long | curl | silk | wheat | mask=black topknot=cream | depth=.4
Airedale_terrier | terrier | button | flag | wire | tan | saddle=black beard=tan | leg=.54
Akita | spitz | prick | curl | dense | sable | mask=black chest=white feet=white tip=white | bone=.1
Alaskan_malamute | spitz | prick | curl | fluffy | charcoal | face=white belly=white legs=white | leg=.5
American_eskimo_dog | spitz | prick | curl | fluffy | white | |
American_foxhound | hound | drop | whip | smooth | tan | saddle=black muzzle=white blaze=white legs=white tip=white | leg=.58
American_staffordshire_terrier | mastiff | rose | whip | smooth | blue | chest=white feet=white | leg=.4 head=.42
American_water_spaniel | spaniel | long | sabre | curly | liver | | leg=.42
Anatolian_shepherd_dog | giant | drop | curl | dense | fawn | mask=black ears=black |
Australian_cattle_dog | herder | prick | brush | dense | blue | ticks=charcoal legs=tan muzzle=tan patches=black | leg=.4
Australian_shepherd | herder | button | stub | long | grey | merle=black blaze=white chest=white feet=white muzzle=tan | leg=.44
Australian_terrier | earthdog | prick | flag | wire | blue | legs=tan muzzle=tan topknot=cream |
Basenji | terrier | prick | curl | smooth | red | blaze=white chest=white feet=white tip=white | leg=.56
Basset_hound | low | long | sabre | smooth | white | saddle=black head=tan muzzle=white tip=white blaze=white | length=1.2 bone=.1 jowl=.9 head=.42
Beagle | hound | drop | flag | smooth | tan | saddle=black muzzle=white blaze=white chest=white belly=white legs=white tip=white | leg=.38
Bearded_collie | herder | drop | brush | silk | grey | blaze=white chest=white feet=white beard=white | leg=.42
Beauceron | herder | button | sabre | smooth | black | legs=red muzzle=red brows=red chest=red | leg=.54
Bedlington_terrier | sighthound | drop | whip | curly | silver | topknot=white | length=.9 leg=.52 head=.34
Belgian_malinois | herder | prick | brush | smooth | fawn | mask=black ears=black tip=black | length=1.
Belgian_sheepdog | herder | prick | brush | long | black | chest=charcoal | length=1.
Belgian_tervuren | herder | prick | brush | long | mahogany | mask=black ears=black saddle=brown tip=black | length=1.
Bernese_mountain_dog | giant | drop | brush | long | black | blaze=white chest=white feet=white brows=red legs=red muzzle=white |
Bichon_frise | toy | drop | curl | curly | white | topknot=white | depth=.46
Black_and_tan_coonhound | hound | long | whip | smooth | black | legs=tan muzzle=tan brows=tan chest=tan | leg=.56
Black_russian_terrier | giant | button | stub | curly | black | beard=black fringe=black | leg=.52
Bloodhound | giant | long | sabre | smooth | red | saddle=black | jowl=1. head=.42
Bluetick_coonhound | hound | long | whip | smooth | blue | ticks=black head=black muzzle=tan legs=tan brows=tan |
Border_collie | herder | button | brush | long | black | blaze=white ruff=white chest=white legs=white tip=white muzzle=white | leg=.44
Border_terrier | terrier | button | flag | wire | brown | muzzle=black chest=tan | leg=.4 snout=.45
Borzoi | sighthound | rose | sabre | silk | white | patches=wheat head=wheat muzzle=white | leg=.7 snout=1.15
Boston_terrier | bulldog | prick | stub | smooth | black | blaze=white muzzle=white chest=white feet=white | leg=.42 bone=.07
Bouvier_des_flandres | giant | button | stub | wire | charcoal | beard=grey fringe=charcoal | leg=.48
Boxer | mastiff | button | stub | smooth | fawn | mask=black blaze=white chest=white feet=white | leg=.54 snout=.25 bone=.09
Boykin_spaniel | spaniel | long | stub | long | liver | topknot=brown |
Briard | herder | drop | brush | silk | wheat | fringe=wheat beard=fawn ears=brown | leg=.5
Brittany | gundog | drop | stub | smooth | white | patches=orange head=orange blaze=white muzzle=white |
Brussels_griffon | toy | button | stub | wire | red | beard=mahogany | snout=.08
Bull_terrier | mastiff | prick | whip | smooth | white | eyepatch=black | snout=.95 leg=.42 jowl=.6 bone=.09
Bulldog | bulldog | rose | stub | smooth | white | patches=fawn head=fawn muzzle=white blaze=white | bone=.12
Bullmastiff | mastiff | drop | sabre | smooth | fawn | mask=black ears=black |
Cairn_terrier | earthdog | prick | flag | wire | wheat | muzzle=charcoal ears=charcoal |
Canaan_dog | spitz | prick | curl | smooth | cream | patches=sable head=sable muzzle=white | leg=.52
Cane_corso | mastiff | rose | sabre | smooth | charcoal | chest=white | leg=.54
Cardigan_welsh_corgi | low | bat | brush | dense | charcoal | blaze=white ruff=white chest=white legs=white muzzle=white brows=tan | length=1.15
Cavalier_king_charles_spaniel | spaniel | long | plume | long | white | patches=red ears=red blaze=white eyepatch=red | leg=.36 snout=.3
Chesapeake_bay_retriever | gundog | drop | sabre | curly | brown | | bone=.09
Chihuahua | toy | bat | whip | smooth | fawn | chest=cream muzzle=cream | head=.46
Chinese_crested | toy | bat | plume | smooth | pink | topknot=white feet=white tip=white | leg=.5
Chinese_shar-pei | mastiff | button | curl | smooth | wheat | mask=brown wrinkles=brown | leg=.42
Chow_chow | spitz | prick | curl | fluffy | red | mane=orange muzzle=sable | snout=.25 depth=.5 head=.46
Clumber_spaniel | spaniel | drop | plume | long | white | ears=gold eyepatch=gold | leg=.32 bone=.1
Cocker_spaniel | spaniel | long | stub | long | gold | topknot=cream | snout=.45
Collie | herder | button | brush | long | sable | blaze=white ruff=white chest=white feet=white tip=white saddle=brown | snout=.95
Curly-coated_retriever | gundog | drop | sabre | curly | black | | leg=.56
Dachshund | low | drop | whip | smooth | red | | length=1.45
Dalmatian | gundog | drop | whip | smooth | white | spots=black ears=black | leg=.54
Dandie_dinmont_terrier | low | drop | flag | wire | grey | topknot=white muzzle=silver | length=1.2
Doberman_pinscher | gundog | prick | stub | smooth | black | muzzle=tan brows=tan legs=tan chest=tan | leg=.6 neck=.42
Dogue_de_bordeaux | mastiff | rose | sabre | smooth | red | muzzle=mahogany chest=white wrinkles=mahogany | head=.5 snout=.25
English_cocker_spaniel | spaniel | long | stub | long | blue | ticks=charcoal head=charcoal chest=silver |
English_setter | gundog | long | plume | long | white | ticks=charcoal ears=charcoal muzzle=ivory |
English_springer_spaniel | spaniel | long | plume | long | white | patches=liver head=liver blaze=white muzzle=white | leg=.46
English_toy_spaniel | toy | long | plume | long | mahogany | chest=red | snout=.05 leg=.32
Entlebucher_mountain_dog | hound | drop | curl | smooth | black | blaze=white chest=white feet=white brows=tan legs=tan tip=white | leg=.42
Field_spaniel | spaniel | long | stub | long | liver | chest=tan | length=1.08
Finnish_spitz | spitz | prick | curl | fluffy | orange | chest=gold |
Flat-coated_retriever | gundog | drop | plume | long | black | | snout=.8
French_bulldog | bulldog | bat | stub | smooth | charcoal | stripes=brown chest=white muzzle=black | leg=.32
German_pinscher | terrier | prick | stub | smooth | mahogany | chest=red | leg=.54
German_shepherd_dog | herder | prick | brush | dense | tan | saddle=black mask=black ears=black tip=black | snout=.85
German_shorthaired_pointer | gundog | drop | stub | smooth | silver | ticks=liver head=liver patches=liver | leg=.58
German_wirehaired_pointer | gundog | drop | stub | wire | brown | ticks=silver beard=silver head=liver | leg=.56
Giant_schnauzer | terrier | button | flag | wire | black | beard=charcoal brows=charcoal | leg=.56 size=1.15
Glen_of_imaal_terrier | earthdog | rose | flag | wire | blue | muzzle=wheat legs=wheat topknot=silver |
Golden_retriever | gundog | drop | plume | long | gold | chest=cream belly=cream |
Gordon_setter | gundog | long | plume | long | black | muzzle=red legs=red brows=red chest=red |
Great_dane | giant | prick | whip | smooth | fawn | mask=black | leg=.72 depth=.42 neck=.46
Great_pyrenees | giant | drop | plume | long | white | ears=ivory eyepatch=ivory |
Greater_swiss_mountain_dog | giant | drop | sabre | smooth | black | blaze=white chest=white feet=white brows=red legs=red tip=white |
Greyhound | sighthound | rose | whip | smooth | grey | chest=white feet=white | leg=.7
Havanese | toy | drop | curl | silk | ivory | patches=brown head=brown muzzle=ivory | leg=.28
Ibizan_hound | sighthound | bat | whip | smooth | red | blaze=white chest=white legs=white muzzle=pink |
Icelandic_sheepdog | spitz | prick | curl | fluffy | fawn | blaze=white ruff=white chest=white legs=white |
Irish_red_and_white_setter | gundog | drop | plume | long | white | patches=red head=red blaze=white |
Irish_setter | gundog | long | plume | long | mahogany | | leg=.56
Irish_terrier | terrier | button | flag | wire | red | beard=red | leg=.52
Irish_water_spaniel | gundog | long | whip | curly | liver | topknot=liver muzzle=brown |
Irish_wolfhound | sighthound | rose | sabre | wire | grey | beard=silver brows=silver | size=1.2 depth=.42 bone=.075
Italian_greyhound | sighthound | rose | whip | smooth | blue | chest=white feet=white | size=.75 bone=.05
Japanese_chin | toy | long | plume | silk | white | ears=black eyepatch=black saddle=black blaze=white | snout=.02
Keeshond | spitz | prick | curl | fluffy | grey | mane=silver muzzle=black ears=black legs=silver |
Kerry_blue_terrier | terrier | button | flag | curly | blue | beard=charcoal fringe=blue |
Komondor | giant | drop | sabre | corded | ivory | fringe=ivory | leg=.44 size=1.1
Kuvasz | giant | drop | plume | long | white | | depth=.43 bone=.09
Labrador_retriever | gundog | drop | sabre | smooth | wheat | | bone=.095 jowl=.65
Lakeland_terrier | terrier | button | flag | wire | wheat | saddle=charcoal beard=wheat | snout=.6
Leonberger | giant | drop | plume | long | gold | mask=black ears=black mane=sable |
Lhasa_apso | toy | drop | curl | silk | gold | fringe=wheat beard=sable | leg=.24
Lowchen | toy | drop | curl | silk | cream | mane=ivory patches=charcoal | leg=.36
Maltese | toy | drop | curl | silk | white | | leg=.26
Manchester_terrier | terrier | prick | whip | smooth | black | muzzle=tan brows=tan legs=tan chest=tan | bone=.055
Mastiff | mastiff | drop | sabre | smooth | apricot | mask=black ears=black wrinkles=brown | size=1.2
Miniature_schnauzer | terrier | button | flag | wire | grey | beard=white brows=white legs=white chest=silver | size=.85 leg=.42
Neapolitan_mastiff | mastiff | drop | sabre | smooth | blue | wrinkles=charcoal | jowl=1.2
Newfoundland | giant | drop | brush | long | black | | bone=.12 head=.43
Norfolk_terrier | earthdog | button | flag | wire | red | beard=orange |
Norwegian_buhund | spitz | prick | curl | dense | wheat | muzzle=brown | leg=.5
Norwegian_elkhound | spitz | prick | curl | dense | grey | mask=black ears=black belly=silver legs=silver | leg=.46
Norwegian_lundehund | spitz | bat | curl | smooth | sable | chest=white legs=white blaze=white muzzle=white | depth=.38
Norwich_terrier | earthdog | prick | flag | wire | tan | chest=wheat |
Nova_scotia_duck_tolling_retriever | gundog | drop | plume | long | orange | blaze=white chest=white feet=white tip=white | leg=.46
Old_english_sheepdog | giant | drop | stub | fluffy | white | rump=grey fringe=white | leg=.42
Otterhound | hound | long | sabre | wire | tan | saddle=black beard=wheat topknot=wheat | bone=.1
Papillon | toy | butterfly | plume | long | white | ears=sable eyepatch=sable blaze=white |
Parson_russell_terrier | terrier | button | flag | wire | white | head=tan blaze=white muzzle=white | leg=.46
Pekingese | toy | long | curl | silk | fawn | mask=black mane=cream | leg=.16 snout=.02 length=.95
Pembroke_welsh_corgi | low | bat | stub | dense | orange | blaze=white ruff=white chest=white legs=white muzzle=white | length=1.12
Petit_basset_griffon_vendeen | low | long | flag | wire | white | patches=wheat head=wheat beard=white | length=1.1
Pharaoh_hound | sighthound | bat | whip | smooth | chestnut | chest=white muzzle=pink tip=white |
Plott | hound | drop | sabre | smooth | brown | stripes=black | leg=.56
Pointer | gundog | drop | whip | smooth | white | patches=liver head=liver blaze=white | leg=.58 jowl=.65
Pomeranian | toy | prick | curl | fluffy | orange | mane=gold muzzle=orange | depth=.48 leg=.3
Poodle | gundog | long | pompon | curly | apricot | pompons=apricot topknot=apricot | leg=.58 depth=.34 snout=.9 jowl=.3 head=.32
Portuguese_water_dog | gundog | drop | plume | curly | black | chest=white feet=white topknot=black | leg=.48
Saint_bernard | giant | drop | brush | long | red | blaze=white chest=white belly=white legs=white tip=white muzzle=white mask=black ruff=white | head=.45 jowl=.9
Silky_terrier | toy | prick | flag | silk | blue | head=tan legs=tan topknot=silver | leg=.28 length=1.
Smooth_fox_terrier | terrier | button | flag | smooth | white | head=black brows=tan patches=black blaze=white |
Tibetan_mastiff | giant | drop | curl | fluffy | black | mane=charcoal brows=tan muzzle=tan legs=tan | head=.44
Welsh_springer_spaniel | spaniel | drop | plume | long | white | patches=red head=red blaze=white muzzle=white | leg=.44
Wirehaired_pointing_griffon | gundog | drop | sabre | wire | silver | patches=liver head=brown beard=silver | leg=.5
Xoloitzcuintli | sighthound | bat | whip | smooth | charcoal | topknot=black | leg=.58 head=.3
Yorkshire_terrier | toy | prick | flag | silk | blue | head=gold legs=gold topknot=gold chest=gold | leg=.24
"""  # noqa: E501


@dataclass(frozen=True)
class Breed:
    """One row of the table. Lengths are in units of a square-built dog's body length."""

    name: str
    number: int
    ears: str
    tail: str
    coat: str
    colour: str
    marks: dict[str, str] = field(hash=False)
    length: float
    leg: float
    depth: float
    tuck: float
    neck: float
    head: float
    snout: float
    jowl: float
    bone: float
    size: float = 1.0

    @property
    def folder(self) -> str:
        """The class folder's name, such as `057.Dalmatian`."""
        return f"{self.number:03d}.{self.name}"


def _row(number: int, line: str) -> Breed:
    name, build, ears, tail, coat, colour, marks, own = (cell.strip() for cell in line.split("|"))
    marked = dict(mark.split("=") for mark in marks.split())
    proportions = {key: float(value) for key, value in (item.split("=") for item in own.split())}
    return replace(
        Breed(name, number, ears, tail, coat, colour, marked, *BUILDS[build]), **proportions
    )


BREEDS = {
    breed.name: breed
    for breed in (_row(n, line) for n, line in enumerate(_TABLE.strip().splitlines(), 1))
}

# Twelve which a beginner can tell apart, and a small network too: no two share shape and colours.
DEFAULT = (
    "Beagle",
    "Border_collie",
    "Dachshund",
    "Dalmatian",
    "French_bulldog",
    "German_shepherd_dog",
    "Golden_retriever",
    "Greyhound",
    "Komondor",
    "Pomeranian",
    "Poodle",
    "Saint_bernard",
)

PROPORTIONS = tuple(item.name for item in fields(Breed) if item.type is float)


def choose(classes: int) -> list[Breed]:
    """The `classes` breeds of a drawn sample: the default twelve first, sorted by number.

    Raises:
        ValueError: `classes` is no whole number from 2 to 133.
    """
    if not isinstance(classes, int) or isinstance(classes, bool) or not 2 <= classes <= len(BREEDS):
        raise ValueError(
            f"classes={classes!r}: the drawn sample has between 2 and {len(BREEDS)} breeds. "
            "Ask for a whole number in that range."
        )
    others = [name for name in BREEDS if name not in DEFAULT]
    names = [*DEFAULT, *others][:classes]
    return sorted((BREEDS[name] for name in names), key=lambda breed: breed.number)


def find(name: str) -> Breed:
    """The breed called `name`: `Dalmatian`, `057.Dalmatian` or `Golden retriever`.

    Raises:
        ValueError: no breed of the 133 has this name.
    """
    plain = name.partition(".")[2] if name[:3].isdigit() else name
    wanted = plain.replace(" ", "_").capitalize()
    if wanted not in BREEDS:
        import difflib

        near = difflib.get_close_matches(wanted, BREEDS, n=3) or ["Dalmatian", "Poodle"]
        raise ValueError(
            f"no breed called {name!r} among the {len(BREEDS)}. Close to it: {', '.join(near)}."
        )
    return BREEDS[wanted]
