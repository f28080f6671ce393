//! Which countries a number may belong to, by its leading digits.
//!
//! Codes that several countries share are told apart where their numbers are: by area code within +1,
//! by the first digits elsewhere. Numbers of which that cannot be said may belong to any of them.
//! Nothing is parsed and nothing allocated: this is asked for each message that begins.
//!
//! Source: the numbering plans of libphonenumber as the `phonenumber` crate 0.3.10 carries them
//! (`PhoneNumberMetadata.xml`); `model::phone_regions` compares them number by number.

use phonenumber::country::Id;

/// The countries of a number, in digits with country code; none for codes that are no country's.
pub(super) fn of(digits: u64) -> &'static [Id] {
    (1..=3).find_map(|length| look_up(CODES, leading(digits, length)?)).map_or(&[], |all| {
        let narrowed = match leading(digits, 1) {
            Some(1) => leading(digits, 4).and_then(|prefix| in_america(prefix % 1_000)),
            Some(_) | None => (2..=9).rev().find_map(|length| look_up(NARROWED, leading(digits, length)?)),
        };
        narrowed.unwrap_or(all)
    })
}

fn in_america(area: u64) -> Option<&'static [Id]> {
    let other = AREAS.binary_search_by_key(&area, |(area, _)| *area).ok();
    let other = other.and_then(|place| AREAS.get(place)).map(|(_, region)| std::slice::from_ref(region));
    other.or_else(|| US_AREAS.binary_search(&area).is_ok().then_some(&[Id::US]))
}

fn look_up(table: &'static [(u64, &'static [Id])], prefix: u64) -> Option<&'static [Id]> {
    let place = table.binary_search_by_key(&prefix, |(prefix, _)| *prefix).ok()?;
    table.get(place).map(|(_, regions)| *regions)
}

/// The first digits of a number, if it has so many.
fn leading(digits: u64, length: u32) -> Option<u64> {
    let all = digits.checked_ilog10()? + 1;
    digits.checked_div(10_u64.checked_pow(all.checked_sub(length)?)?)
}

/// Calling codes and their countries, the main one first.
#[rustfmt::skip]
static CODES: &[(u64, &[Id])] = &[
   
    (1, &[Id::US, Id::AG, Id::AI, Id::AS, Id::BB, Id::BM, Id::BS, Id::CA, Id::DM, Id::DO, Id::GD, Id::GU, Id::JM, Id::KN, Id::KY, Id::LC, Id::MP, Id::MS, Id::PR, Id::SX, Id::TC, Id::TT, Id::VC, Id::VG, Id::VI]),
    (7, &[Id::RU, Id::KZ]), (20, &[Id::EG]), (27, &[Id::ZA]), (30, &[Id::GR]), (31, &[Id::NL]),
    (32, &[Id::BE]), (33, &[Id::FR]), (34, &[Id::ES]), (36, &[Id::HU]), (39, &[Id::IT, Id::VA]),
    (40, &[Id::RO]), (41, &[Id::CH]), (43, &[Id::AT]), (44, &[Id::GB, Id::GG, Id::IM, Id::JE]),
    (45, &[Id::DK]), (46, &[Id::SE]), (47, &[Id::NO, Id::SJ]), (48, &[Id::PL]), (49, &[Id::DE]),
    (51, &[Id::PE]), (52, &[Id::MX]), (53, &[Id::CU]), (54, &[Id::AR]), (55, &[Id::BR]),
    (56, &[Id::CL]), (57, &[Id::CO]), (58, &[Id::VE]), (60, &[Id::MY]), (61, &[Id::AU, Id::CC, Id::CX]),
    (62, &[Id::ID]), (63, &[Id::PH]), (64, &[Id::NZ]), (65, &[Id::SG]), (66, &[Id::TH]),
    (81, &[Id::JP]), (82, &[Id::KR]), (84, &[Id::VN]), (86, &[Id::CN]), (90, &[Id::TR]),
    (91, &[Id::IN]), (92, &[Id::PK]), (93, &[Id::AF]), (94, &[Id::LK]), (95, &[Id::MM]),
    (98, &[Id::IR]), (211, &[Id::SS]), (212, &[Id::MA, Id::EH]), (213, &[Id::DZ]), (216, &[Id::TN]),
    (218, &[Id::LY]), (220, &[Id::GM]), (221, &[Id::SN]), (222, &[Id::MR]), (223, &[Id::ML]),
    (224, &[Id::GN]), (225, &[Id::CI]), (226, &[Id::BF]), (227, &[Id::NE]), (228, &[Id::TG]),
    (229, &[Id::BJ]), (230, &[Id::MU]), (231, &[Id::LR]), (232, &[Id::SL]), (233, &[Id::GH]),
    (234, &[Id::NG]), (235, &[Id::TD]), (236, &[Id::CF]), (237, &[Id::CM]), (238, &[Id::CV]),
    (239, &[Id::ST]), (240, &[Id::GQ]), (241, &[Id::GA]), (242, &[Id::CG]), (243, &[Id::CD]),
    (244, &[Id::AO]), (245, &[Id::GW]), (246, &[Id::IO]), (247, &[Id::AC]), (248, &[Id::SC]),
    (249, &[Id::SD]), (250, &[Id::RW]), (251, &[Id::ET]), (252, &[Id::SO]), (253, &[Id::DJ]),
    (254, &[Id::KE]), (255, &[Id::TZ]), (256, &[Id::UG]), (257, &[Id::BI]), (258, &[Id::MZ]),
    (260, &[Id::ZM]), (261, &[Id::MG]), (262, &[Id::RE, Id::YT]), (263, &[Id::ZW]), (264, &[Id::NA]),
    (265, &[Id::MW]), (266, &[Id::LS]), (267, &[Id::BW]), (268, &[Id::SZ]), (269, &[Id::KM]),
    (290, &[Id::SH, Id::TA]), (291, &[Id::ER]), (297, &[Id::AW]), (298, &[Id::FO]), (299, &[Id::GL]),
    (350, &[Id::GI]), (351, &[Id::PT]), (352, &[Id::LU]), (353, &[Id::IE]), (354, &[Id::IS]),
    (355, &[Id::AL]), (356, &[Id::MT]), (357, &[Id::CY]), (358, &[Id::FI, Id::AX]), (359, &[Id::BG]),
    (370, &[Id::LT]), (371, &[Id::LV]), (372, &[Id::EE]), (373, &[Id::MD]), (374, &[Id::AM]),
    (375, &[Id::BY]), (376, &[Id::AD]), (377, &[Id::MC]), (378, &[Id::SM]), (380, &[Id::UA]),
    (381, &[Id::RS]), (382, &[Id::ME]), (383, &[Id::XK]), (385, &[Id::HR]), (386, &[Id::SI]),
    (387, &[Id::BA]), (389, &[Id::MK]), (420, &[Id::CZ]), (421, &[Id::SK]), (423, &[Id::LI]),
    (500, &[Id::FK]), (501, &[Id::BZ]), (502, &[Id::GT]), (503, &[Id::SV]), (504, &[Id::HN]),
    (505, &[Id::NI]), (506, &[Id::CR]), (507, &[Id::PA]), (508, &[Id::PM]), (509, &[Id::HT]),
    (590, &[Id::GP, Id::BL, Id::MF]), (591, &[Id::BO]), (592, &[Id::GY]), (593, &[Id::EC]),
    (594, &[Id::GF]), (595, &[Id::PY]), (596, &[Id::MQ]), (597, &[Id::SR]), (598, &[Id::UY]),
    (599, &[Id::CW, Id::BQ]), (670, &[Id::TL]), (672, &[Id::NF]), (673, &[Id::BN]), (674, &[Id::NR]),
    (675, &[Id::PG]), (676, &[Id::TO]), (677, &[Id::SB]), (678, &[Id::VU]), (679, &[Id::FJ]),
    (680, &[Id::PW]), (681, &[Id::WF]), (682, &[Id::CK]), (683, &[Id::NU]), (685, &[Id::WS]),
    (686, &[Id::KI]), (687, &[Id::NC]), (688, &[Id::TV]), (689, &[Id::PF]), (690, &[Id::TK]),
    (691, &[Id::FM]), (692, &[Id::MH]), (850, &[Id::KP]), (852, &[Id::HK]), (853, &[Id::MO]),
    (855, &[Id::KH]), (856, &[Id::LA]), (880, &[Id::BD]), (886, &[Id::TW]), (960, &[Id::MV]),
    (961, &[Id::LB]), (962, &[Id::JO]), (963, &[Id::SY]), (964, &[Id::IQ]), (965, &[Id::KW]),
    (966, &[Id::SA]), (967, &[Id::YE]), (968, &[Id::OM]), (970, &[Id::PS]), (971, &[Id::AE]),
    (972, &[Id::IL]), (973, &[Id::BH]), (974, &[Id::QA]), (975, &[Id::BT]), (976, &[Id::MN]),
    (977, &[Id::NP]), (992, &[Id::TJ]), (993, &[Id::TM]), (994, &[Id::AZ]), (995, &[Id::GE]),
    (996, &[Id::KG]), (998, &[Id::UZ]),
];

/// First digits by which the countries of a shared code can be told apart.
#[rustfmt::skip]
static NARROWED: &[(u64, &[Id])] = &[
    (73, &[Id::RU]), (74, &[Id::RU]), (77, &[Id::KZ]), (78, &[Id::RU]), (79, &[Id::RU]),
    (262262, &[Id::RE]), (262269, &[Id::YT]), (262639, &[Id::YT]), (262692, &[Id::RE]),
    (262693, &[Id::RE]), (6189162, &[Id::CC]), (6189164, &[Id::CX]),
];

/// Area codes of +1 outside the United States.
#[rustfmt::skip]
static AREAS: &[(u64, Id)] = &[
    (204, Id::CA), (226, Id::CA), (236, Id::CA), (242, Id::BS), (246, Id::BB), (249, Id::CA),
    (250, Id::CA), (257, Id::CA), (263, Id::CA), (264, Id::AI), (268, Id::AG), (284, Id::VG),
    (289, Id::CA), (306, Id::CA), (340, Id::VI), (343, Id::CA), (345, Id::KY), (354, Id::CA),
    (365, Id::CA), (367, Id::CA), (368, Id::CA), (382, Id::CA), (403, Id::CA), (416, Id::CA),
    (418, Id::CA), (428, Id::CA), (431, Id::CA), (437, Id::CA), (438, Id::CA), (441, Id::BM),
    (450, Id::CA), (468, Id::CA), (473, Id::GD), (474, Id::CA), (506, Id::CA), (514, Id::CA),
    (519, Id::CA), (548, Id::CA), (579, Id::CA), (581, Id::CA), (584, Id::CA), (587, Id::CA),
    (600, Id::CA), (604, Id::CA), (613, Id::CA), (622, Id::CA), (633, Id::CA), (639, Id::CA),
    (647, Id::CA), (649, Id::TC), (658, Id::JM), (664, Id::MS), (670, Id::MP), (671, Id::GU),
    (672, Id::CA), (683, Id::CA), (684, Id::AS), (705, Id::CA), (709, Id::CA), (721, Id::SX),
    (742, Id::CA), (753, Id::CA), (758, Id::LC), (767, Id::DM), (778, Id::CA), (780, Id::CA),
    (782, Id::CA), (784, Id::VC), (787, Id::PR), (807, Id::CA), (809, Id::DO), (819, Id::CA),
    (825, Id::CA), (829, Id::DO), (849, Id::DO), (867, Id::CA), (868, Id::TT), (869, Id::KN),
    (873, Id::CA), (876, Id::JM), (879, Id::CA), (902, Id::CA), (905, Id::CA), (939, Id::PR),
    (942, Id::CA),
];

/// Area codes of +1 in the United States, and those that belong to no place.
#[rustfmt::skip]
static US_AREAS: &[u64] = &[
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 220, 223, 224,
    225, 227, 228, 229, 231, 234, 235, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270,
    272, 274, 276, 279, 281, 283, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316,
    317, 318, 319, 320, 321, 323, 324, 325, 326, 327, 329, 330, 331, 332, 334, 336, 337, 339, 341, 346,
    347, 350, 351, 352, 353, 360, 361, 363, 364, 369, 380, 385, 386, 401, 402, 404, 405, 406, 407, 408,
    409, 410, 412, 413, 414, 415, 417, 419, 423, 424, 425, 430, 432, 434, 435, 440, 442, 443, 445, 447,
    448, 458, 463, 464, 469, 470, 472, 475, 478, 479, 480, 484, 500, 501, 502, 503, 504, 505, 507, 508,
    509, 510, 512, 513, 515, 516, 517, 518, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530, 531,
    532, 533, 534, 539, 540, 541, 544, 551, 557, 559, 561, 562, 563, 564, 566, 567, 570, 571, 572, 573,
    574, 575, 577, 580, 582, 585, 586, 588, 601, 602, 603, 605, 606, 607, 608, 609, 610, 612, 614, 615,
    616, 617, 618, 619, 620, 623, 626, 628, 629, 630, 631, 636, 640, 641, 645, 646, 650, 651, 656, 657,
    659, 660, 661, 662, 667, 669, 678, 680, 681, 682, 686, 689, 701, 702, 703, 704, 706, 707, 708, 712,
    713, 714, 715, 716, 717, 718, 719, 720, 724, 725, 726, 727, 728, 730, 731, 732, 734, 737, 738, 740,
    743, 747, 748, 754, 757, 760, 762, 763, 765, 769, 770, 771, 772, 773, 774, 775, 779, 781, 785, 786,
    800, 801, 802, 803, 804, 805, 806, 808, 810, 812, 813, 814, 815, 816, 817, 818, 820, 821, 826, 828,
    830, 831, 832, 833, 835, 838, 839, 840, 843, 844, 845, 847, 848, 850, 854, 855, 856, 857, 858, 859,
    860, 862, 863, 864, 865, 866, 870, 872, 877, 878, 888, 900, 901, 903, 904, 906, 907, 908, 909, 910,
    912, 913, 914, 915, 916, 917, 918, 919, 920, 925, 928, 929, 930, 931, 934, 936, 937, 938, 940, 941,
    943, 945, 947, 948, 949, 951, 952, 954, 956, 959, 970, 971, 972, 973, 975, 978, 979, 980, 983, 984,
    985, 986, 989,
];
